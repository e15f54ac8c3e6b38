"""The run folder: what a training leaves behind, and all that later steps read.

`folder` is the folder itself, `logs` its append-only JSON lines, `checkpoints` what is needed to go on,
`lock` keeps a second trainer out, `durable` writes files that survive a crash, `initial` and `weights`
bring the weights a run begins with, `loggers` passes figures on to others. Reading needs neither
torch nor numpy nor plugins; torch is imported only where tensors are saved or loaded.
"""
