"""Every file that a command writes may be read by those whom the umask lets read it."""

import os
import stat
from pathlib import Path


def test_all_outputs_have_the_permissions_of_any_new_file(trained, cli, photos, without_curves):
    before = os.umask(0o022)
    try:
        trained(photos, "--run", "mine", "--with", "model.width=2", "--epochs", 1)
        for arguments in (
            ("export", "mine"),
            *(("infer", photos / "val", "--device", "cpu", "--out", f"preds.{kind}") for kind in ("csv", "parquet")),
            ("evaluate", "preds.csv", "--html", "page.html", "--plots", "plots", "--json", "facts.json"),
        ):
            assert cli(*arguments).code == 0
    finally:
        os.umask(before)
    made = [file for file in Path().rglob("*") if file.is_file() and photos.resolve() not in file.resolve().parents]
    suffixes = {file.suffix for file in made}
    assert suffixes >= {".json", ".csv", ".safetensors", ".onnx", ".parquet", ".html", ".png"}
    odd = {str(file): oct(stat.S_IMODE(file.stat().st_mode)) for file in made}
    assert set(odd.values()) == {"0o644"}, odd
