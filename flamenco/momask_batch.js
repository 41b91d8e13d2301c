// SPDX-License-Identifier: GPL-3.0-or-later
// Flamenco job type: a table of prompts -> motion files, one task per chunk of rows.
// Each task runs `python -m momask_blender batch`, which skips what is made: tasks may be repeated.

const FORMATS = [".fbx", ".glb", ".bvh", ".blend", ".npz"];
const PRESETS = ["generic", "unreal", "unity"];
const NUM_ROWS = "len([row for row in __import__('csv').reader(open(bpy.path.abspath(settings.table)," +
    " encoding='utf-8-sig', newline='')) if row]) - 1";

const JOB_TYPE = {
    label: "MoMask Batch",
    description: "Make a motion file for each row of a table of prompts",
    settings: [
        { key: "table", type: "string", subtype: "file_path", required: true,
          description: "CSV with a column 'prompt', where all workers can read it" },
        { key: "num_rows", type: "int32", required: true, default: 1, eval: NUM_ROWS,
          evalInfo: { showLinkButton: true, description: "Count the rows of the table" },
          description: "Rows of the table; the last task makes all that are left" },
        { key: "chunk_size", type: "int32", default: 50, visible: "submission",
          description: "Rows that one task makes" },
        { key: "out", type: "string", subtype: "dir_path", required: true,
          description: "Folder for the files, where all workers can write" },
        { key: "format", type: "string", choices: FORMATS, default: ".fbx",
          description: "Ending of the files" },
        { key: "preset", type: "string", choices: PRESETS, default: "generic",
          description: "Engine that an .fbx is for" },
        { key: "fps", type: "float", default: 0.0,
          description: "Frame rate of the keys; 0 is the character's own, or 24" },
        { key: "weights", type: "string", default: "starter",
          description: "Model for rows that name none: a name, or a folder that all workers see" },
        { key: "python", type: "string", default: "{momask_python}", visible: "submission",
          description: "Python that has momask_blender; a variable of the Manager's configuration" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    checkPath("table", settings.table);
    checkPath("out", settings.out);
    for (const rows of chunks(settings.num_rows, settings.chunk_size)) {
        const task = author.Task(`rows-${rows.replace(":", "-")}`, "blender");
        task.addCommand(author.Command("exec", { exe: settings.python, args: batch(settings, rows) }));
        job.addTask(task);
    }
}

// "1:50", "51:100", "101:": the last one is open, as the table may have grown.
function chunks(numRows, size) {
    if (size < 1) throw new Error(`chunk_size must be at least 1, got ${size}`);
    if (numRows < 1) throw new Error(`num_rows must be at least 1, got ${numRows}`);
    const found = [];
    for (let first = 1; first <= numRows; first += size) {
        const last = first + size - 1;
        found.push(last < numRows ? `${first}:${last}` : `${first}:`);
    }
    return found;
}

// Each argument is a string of its own, which Flamenco hands over without a shell; a path stands
// alone in its argument, so that two-way variables find it.
function batch(settings, rows) {
    const args = ["-m", "momask_blender", "batch", settings.table, "--out", settings.out];
    args.push("--rows", rows, "--format", settings.format, "--weights", settings.weights);
    if (settings.fps > 0) args.push("--fps", String(settings.fps));
    if (settings.preset !== "generic") args.push("--preset", settings.preset);
    return args;
}

// Workers run in folders of their own; Blender's // means the .blend that the job came from.
function checkPath(key, path) {
    if (!/^(\/(?!\/)|[A-Za-z]:[\\/]|\\\\|\{)/.test(path)) {
        throw new Error(`${key} must be a whole path that all workers know, got '${path}'`);
    }
}
