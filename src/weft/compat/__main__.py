"""`python -m weft.compat`: runs an unchanged program on weft's executors."""

import sys

from weft.compat._program import main

if __name__ == "__main__" and (status := main(sys.argv[1:])):
    sys.exit(status)
