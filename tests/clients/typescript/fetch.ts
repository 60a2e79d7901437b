// A customer and an admin of the shop, by openapi-fetch with the types that openapi-typescript generates.

import { strict as assert } from "node:assert";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Problem = components["schemas"]["Problem"];

const { SHOP = "", SHOP_PASSWORD: password = "" } = process.env;
const email = "fetch@example.com";
const anyone = createClient<paths>({ baseUrl: SHOP });

const clientOf = (token: string) =>
  createClient<paths>({ baseUrl: SHOP, headers: { Authorization: `Bearer ${token}` } });

const logIn = async (address: string) => {
  const { data } = await anyone.POST("/auth/login", { body: { email: address, password } });
  assert(data);
  return data;
};

/** That an answer is a refusal with this code. */
const refused = (problem: Problem | undefined, code: Problem["code"]) => assert.equal(problem?.code, code);

const main = async () => {
  // Signs up.
  const { data: user } = await anyone.POST("/auth/signup", { body: { email, password, first_name: "Ann" } });
  assert(user);
  const status: "unverified" | "verified" = user.status;
  const lastName: string | null = user.last_name;
  assert.deepEqual([user.email, status, lastName, user.verified_at], [email, "unverified", null, null]);

  // Is refused, and told why.
  const { error: invalid } = await anyone.POST("/auth/signup", { body: { email: "ann", password: "mocha" } });
  refused(invalid, "validation_failed");
  assert.deepEqual(invalid?.errors?.map(({ field, code }) => [field, code]), [
    ["email", "invalid_email"],
    ["password", "too_short"],
  ]);
  const { error: wrong } = await anyone.POST("/auth/login", { body: { email, password: "something else" } });
  refused(wrong, "invalid_credentials");

  // Logs in, sees and edits the account, renews the tokens, logs out.
  const { access_token, refresh_token } = await logIn(email);
  const ann = clientOf(access_token);
  assert.equal((await ann.GET("/me")).data?.id, user.id);
  const { data: edited } = await ann.PATCH("/me", { body: { first_name: null, last_name: "Smith" } });
  assert.deepEqual([edited?.first_name, edited?.last_name], [null, "Smith"]);
  refused((await ann.GET("/users")).error, "forbidden");
  const { data: renewed } = await anyone.POST("/auth/refresh", { body: { refresh_token } });
  assert(renewed);
  const { response } = await anyone.POST("/auth/logout", { body: { refresh_token: renewed.refresh_token } });
  assert.equal(response.status, 204);
  refused((await ann.GET("/me")).error, "invalid_token");

  // Lists the users, as an admin, page by page.
  const boss = clientOf((await logIn("boss@example.com")).access_token);
  const ids: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const { data: page } = await boss.GET("/users", { params: { query: { limit: 1, cursor } } });
    assert(page);
    ids.push(...page.items.map(({ id }) => id));
    cursor = page.next_cursor;
  }
  assert(ids.includes(user.id) && ids.length > 1 && new Set(ids).size === ids.length);
  assert.equal((await boss.GET("/users/{id}", { params: { path: { id: user.id } } })).data?.email, email);
  console.log("the client of openapi-fetch works");
};

void main();
