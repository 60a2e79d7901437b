use crate::app::App;

#[tokio::test]
async fn a_life() {
    let app = App::start().await;
    let ann = app.signed_in("ann@example.com").await;
    assert_eq!(ann.me().await["status"], "verified");
    ann.get("/users").await.refused(403, "forbidden");
    let boss = app.admin().await;
    assert_eq!(boss.get("/users?include_total=true").await.is(200).body["total"], 2);
    boss.get("/users?limit=0").await.refused(400, "malformed_request");
    boss.get("/users/nope").await.refused(404, "not_found");
    app.anyone().get("/me").await.refused(401, "invalid_token");
}
