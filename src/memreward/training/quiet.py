"""Keep what libraries print out of our progress."""


def quiet_libraries() -> None:
    """Turn off bars and notices of transformers and TRL in this process, where they are installed."""
    import logging
    import warnings
    from importlib.util import find_spec

    if find_spec("transformers") is None:
        return
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.getLogger("trl").setLevel(logging.ERROR)
    # transformers 5 and TRL 1 call each other by names that transformers 6 will drop.
    warnings.filterwarnings("ignore", category=FutureWarning)
