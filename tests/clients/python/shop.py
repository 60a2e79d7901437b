"""A customer and an admin of the shop, by the client that openapi-python-client generates."""

import os

from client import AuthenticatedClient, Client
from client.api.own_account import edit_me, get_me
from client.api.registration import signup
from client.api.sessions import login, logout, refresh
from client.api.users import get_user, list_users
from client.models import (
    EditMe,
    FieldProblemCode,
    Login,
    Problem,
    ProblemCode,
    Refresh,
    Role,
    Signup,
    Status,
    Tokens,
    User,
    UserPage,
)

SHOP = os.environ["SHOP"]
PASSWORD = os.environ["SHOP_PASSWORD"]
EMAIL = "python@example.com"

anyone = Client(base_url=SHOP)


def log_in(email: str) -> Tokens:
    tokens = login.sync(client=anyone, body=Login(email=email, password=PASSWORD))
    assert isinstance(tokens, Tokens), tokens
    return tokens


def with_token(tokens: Tokens) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=SHOP, token=tokens.access_token)


# Signs up.
user = signup.sync(client=anyone, body=Signup(email=EMAIL, password=PASSWORD, first_name="Ann"))
assert isinstance(user, User), user
assert (user.email, user.first_name, user.last_name) == (EMAIL, "Ann", None)
assert (user.role, user.status, user.verified_at) == (Role.USER, Status.UNVERIFIED, None)
assert user.expires_at is not None and user.expires_at > user.created_at

# Is refused, and told why.
problem = signup.sync(client=anyone, body=Signup(email="ann", password="mocha"))
assert isinstance(problem, Problem) and problem.code is ProblemCode.VALIDATION_FAILED, problem
codes = {error.field: error.code for error in problem.errors or []}
assert codes == {"email": FieldProblemCode.INVALID_EMAIL, "password": FieldProblemCode.TOO_SHORT}, codes
problem = login.sync(client=anyone, body=Login(email=EMAIL, password="something else"))
assert isinstance(problem, Problem) and problem.code is ProblemCode.INVALID_CREDENTIALS, problem
assert (problem.status, problem.detail) == (401, "The e-mail address or the password is wrong.")

# Logs in, sees and edits the account, renews the tokens, logs out.
tokens = log_in(EMAIL)
me = get_me.sync(client=with_token(tokens))
assert isinstance(me, User) and me.id == user.id, me
me = edit_me.sync(client=with_token(tokens), body=EditMe(first_name=None, last_name="Smith"))
assert isinstance(me, User) and (me.first_name, me.last_name) == (None, "Smith"), me
tokens = refresh.sync(client=anyone, body=Refresh(refresh_token=tokens.refresh_token))
assert isinstance(tokens, Tokens), tokens
problem = list_users.sync(client=with_token(tokens))
assert isinstance(problem, Problem) and problem.code is ProblemCode.FORBIDDEN, problem
done = logout.sync_detailed(client=anyone, body=Refresh(refresh_token=tokens.refresh_token))
assert done.status_code == 204, done
problem = get_me.sync(client=with_token(tokens))
assert isinstance(problem, Problem) and problem.code is ProblemCode.INVALID_TOKEN, problem

# Lists the users, as an admin, page by page.
boss = with_token(log_in("boss@example.com"))
ids, cursor = [], None
while True:
    page = list_users.sync(client=boss, limit=1, **({"cursor": cursor} if cursor else {}))
    assert isinstance(page, UserPage), page
    ids += [user.id for user in page.items]
    cursor = page.next_cursor
    if cursor is None:
        break
assert user.id in ids and len(ids) == len(set(ids)) > 1, ids
assert isinstance(get_user.sync(user.id, client=boss), User)

# A field of tomorrow breaks nothing today.
assert User.from_dict({**user.to_dict(), "nickname": "Annie"}) is not None
print("the Python client works")
