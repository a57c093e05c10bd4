"""Training takes its turn in these tests; a judged loop and a browser are there for those that ask for them."""

from tests.support.judged_loop import _judged as _judged
from tests.support.judged_loop import _training_takes_its_turn as _training_takes_its_turn
from tests.support.judged_loop import judged_loop_copy as judged_loop_copy
from tests.support.review.browser import browser as browser
