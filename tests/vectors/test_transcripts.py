"""Every transcript of the kit, played through a whole gateway."""

from pathlib import Path

import pytest

from vectors.kit import transcripts
from vectors.play import Play
from vectors.stand import Stand


@pytest.mark.parametrize("name", transcripts())
async def test_the_gateway_plays_its_part(name: str, tmp_path: Path) -> None:
    acts = [transcripts()[name]]
    while "after" in acts[0]:
        acts.insert(0, transcripts()[acts[0]["after"]])
    sessions = any(act.get("sessions", False) for act in acts)
    async with Stand(tmp_path, sessions=sessions) as stand:
        play = Play(stand)
        for act in acts:
            await play.run(act)
        await play.end()
