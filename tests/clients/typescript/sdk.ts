// A customer and an admin of the shop, by the functions that @hey-api/openapi-ts generates.

import { strict as assert } from "node:assert";
import { editMe, getMe, getUser, listUsers, login, logout, refresh, signup } from "./generated";
import type { Problem, ProblemCode, User } from "./generated";
import { createClient } from "./generated/client";

const { SHOP = "", SHOP_PASSWORD: password = "" } = process.env;
const email = "sdk@example.com";
const anyone = createClient({ baseUrl: SHOP });

const clientOf = (token: string) => createClient({ baseUrl: SHOP, auth: token });

const logIn = async (address: string) => {
  const { data } = await login({ client: anyone, body: { email: address, password } });
  assert(data);
  return data;
};

/** That an answer is a refusal with this code. */
const refused = (problem: Problem | undefined, code: ProblemCode) => assert.equal(problem?.code, code);

const main = async () => {
  // Signs up.
  const { data, response: created } = await signup({ client: anyone, body: { email, password, first_name: "Ann" } });
  assert.equal(created.status, 201);
  // This generator has no type for the other answer, which has no body.
  const user = data as User;
  assert.deepEqual([user.email, user.status, user.last_name, user.verified_at], [email, "unverified", null, null]);

  // Is refused, and told why.
  const { error: invalid } = await signup({ client: anyone, body: { email: "ann", password: "mocha" } });
  refused(invalid, "validation_failed");
  assert.deepEqual(invalid?.errors?.map(({ field, code }) => [field, code]), [
    ["email", "invalid_email"],
    ["password", "too_short"],
  ]);
  refused((await login({ client: anyone, body: { email, password: "something else" } })).error, "invalid_credentials");

  // Logs in, sees and edits the account, renews the tokens, logs out.
  const { access_token, refresh_token } = await logIn(email);
  const ann = clientOf(access_token);
  assert.equal((await getMe({ client: ann })).data?.id, user.id);
  const { data: edited } = await editMe({ client: ann, body: { first_name: null, last_name: "Smith" } });
  assert.deepEqual([edited?.first_name, edited?.last_name], [null, "Smith"]);
  refused((await listUsers({ client: ann })).error, "forbidden");
  const { data: renewed } = await refresh({ client: anyone, body: { refresh_token } });
  assert(renewed);
  const { response } = await logout({ client: anyone, body: { refresh_token: renewed.refresh_token } });
  assert.equal(response.status, 204);
  refused((await getMe({ client: ann })).error, "invalid_token");

  // Lists the users, as an admin, page by page.
  const boss = clientOf((await logIn("boss@example.com")).access_token);
  const ids: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const { data: page } = await listUsers({ client: boss, query: { limit: 1, cursor } });
    assert(page);
    ids.push(...page.items.map(({ id }) => id));
    cursor = page.next_cursor;
  }
  assert(ids.includes(user.id) && ids.length > 1 && new Set(ids).size === ids.length);
  assert.equal((await getUser({ client: boss, path: { id: user.id } })).data?.email, email);
  console.log("the client of openapi-ts works");
};

void main();
