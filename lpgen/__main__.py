"""``python -m lpgen``."""

from lpgen.cli import main

main()
