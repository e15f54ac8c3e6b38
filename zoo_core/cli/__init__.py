"""The commands: one file each, nothing but words and tables. Whatever they do, a notebook can do too."""
