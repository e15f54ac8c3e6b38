"""Write a selection of COCO's captions down as ids.

python -m zoo_prompt_files.select captions_val2014.json --count 10000 --seed 0 --output coco-10k.txt
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from zoo_core.errors import ZooError
from zoo_prompt_files.coco import read_annotations, select


def selection_text(path: Path, count: int, seed: int) -> str:
    """The content of a selection file: what it was made from, then an annotation id a line."""
    ids = select(read_annotations(path), count, seed)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    head = f"# {count} captions of {path.name}, seed {seed}\n# sha256 {digest}\n"
    return head + "".join(f"{number}\n" for number in ids)


@click.command()
@click.argument("annotations", type=click.Path(path_type=Path))
@click.option("--count", default=10_000, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--output", type=click.Path(path_type=Path), help="A file; stdout without it.")
def main(annotations: Path, count: int, seed: int, output: Path | None) -> None:
    """Select captions of different images from COCO's ANNOTATIONS and write their ids."""
    try:
        text = selection_text(annotations, count, seed)
    except ZooError as error:
        raise click.ClickException(str(error)) from None
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
