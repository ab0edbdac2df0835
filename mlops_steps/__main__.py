"""``python -m mlops_steps``"""

from mlops_steps.cli import main

if __name__ == "__main__":
    main()
