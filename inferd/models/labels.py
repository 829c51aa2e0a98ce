"""Reading the class labels of a classification output."""

from pathlib import Path, PurePath

from inferd.errors import LoadFailed


def read_labels(model_directory: Path, label_filename: str) -> list[str]:
    """
    Return the labels of a file in the model's folder, one per line.

    Args:
        model_directory: The folder that holds ``config.pbtxt``.
        label_filename: The config's ``label_filename``, relative to that folder.

    Raises:
        LoadFailed: The name leads out of the folder, or the file cannot be read as
            UTF-8 text; the message names the file.
    """
    relative = PurePath(label_filename)
    if relative.is_absolute() or ".." in relative.parts:
        raise LoadFailed(f"label file '{label_filename}' must stay within the model directory")
    path = model_directory / relative
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or str(error)
        raise LoadFailed(f"failed to open text file for read {path}: {reason}") from error
    except ValueError as error:
        raise LoadFailed(f"failed to read label file {path}: {error}") from error
    lines = text.split("\n")
    if not lines[-1]:
        del lines[-1]
    return [line.removesuffix("\r") for line in lines]
