"""Gateway: every call that labelloop makes to Label Studio, except the readiness check, over label-studio-sdk.

The SDK repeats a POST whose reply is lost, and Label Studio imports twice what is sent twice. So only a GET is ever
repeated here; a write whose reply is lost raises Ambiguous.
"""

from __future__ import annotations

from labelloop.answers.people import Person, person
from labelloop.labelstudio import answers
from labelloop.labelstudio.adoption import Whole
from labelloop.labelstudio.connection import READ, WRITE, Connection
from labelloop.labelstudio.hooks import Hooks
from labelloop.labelstudio.predictions import Predictions
from labelloop.labelstudio.projects import Projects
from labelloop.labelstudio.tasks import Tasks
from labelloop.reading.ids import UserId


class Gateway(Projects, Tasks, Predictions, Hooks, Whole):
    """One Label Studio, with the rights of the owner of `token` (personal or legacy).

    Raises Unreachable if nothing has happened, Ambiguous if a write may have taken effect, Refused if Label Studio
    refuses a request for good.
    """

    def __init__(self, url: str, token: str) -> None:
        super().__init__(Connection(url, token))

    def close(self) -> None:
        self._connection.close()

    def version(self) -> str:
        return answers.text(self._get("api/version"), "release")

    def whoami(self) -> UserId:
        """Return Label Studio's id of the token's owner."""
        return UserId(answers.whole(self._get("api/current-user/whoami"), "id"))

    def users(self) -> dict[UserId, Person]:
        """Return address and name of everybody in the organisation, by id."""
        with self._clear("the list of users"):
            return {
                (id_ := UserId(int(user.id))): person(id_, str(user.email), user.first_name, user.last_name)
                for user in self._ls.users.list(request_options=READ)
            }

    def invite_url(self) -> str:
        """Return the link by which a person signs up while sign-up is closed."""
        link = answers.text(self._get("api/invite"), "invite_url")
        return link if "://" in link else f"{self.url}/{link.lstrip('/')}"

    def reset_invite(self) -> None:
        """Make a new sign-up link; the former one becomes invalid."""
        with self._clear("a new sign-up link"):
            self._ls.organizations.reset_token(request_options=WRITE)
