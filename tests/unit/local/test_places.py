from pathlib import Path

import pytest

from freehold.local.places import data_dir


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"FREEHOLD_HOME": "/srv/f", "XDG_DATA_HOME": "/x", "HOME": "/h"}, "/srv/f"),
        ({"XDG_DATA_HOME": "/x", "HOME": "/h"}, "/x/freehold"),
        ({"XDG_DATA_HOME": "relative", "HOME": "/h"}, "/h/.local/share/freehold"),
        ({"FREEHOLD_HOME": "", "HOME": "/h"}, "/h/.local/share/freehold"),
    ],
)
def test_the_data_directory_follows_freehold_home_then_xdg_then_home(environ, place):
    assert data_dir(environ) == Path(place)
