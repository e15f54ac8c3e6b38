"""Analysis of run folders. Nothing here imports torch or a plugin."""
