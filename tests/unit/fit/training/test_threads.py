import pytest
import torch

from queen.fit.training.threads import one_thread


def _diverge() -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
        raise ValueError("diverged")


def test_torch_has_its_threads_again_after_a_failure() -> None:
    """One thread inside, as many as before outside."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(ValueError, match="diverged"):
            _diverge()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
