//! Another process holds the database: what only reads goes on, what writes is told to come again.

use serde_json::json;
use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Runtime;

use crate::engine::is_postgresql;
use crate::support::{Service, digest};

/// Another program that has begun to write and does not end.
struct Holder {
    connection: SqliteConnection,
    runtime: Runtime,
}

impl Holder {
    fn take(service: &Service) -> Self {
        let runtime = Runtime::new().unwrap();
        let path = service.folder().join("keybound.db");
        let connection = runtime.block_on(async {
            let mut connection = SqliteConnection::connect(path.to_str().unwrap())
                .await
                .unwrap();
            sqlx::query("BEGIN EXCLUSIVE")
                .execute(&mut connection)
                .await
                .unwrap();
            connection
        });
        Self {
            connection,
            runtime,
        }
    }

    fn release(mut self) {
        self.runtime.block_on(async {
            sqlx::query("ROLLBACK")
                .execute(&mut self.connection)
                .await
                .unwrap();
            self.connection.close().await.unwrap();
        });
    }
}

#[test]
fn reads_are_answered_and_writes_are_told_to_come_again() {
    if is_postgresql() {
        return;
    }
    let service = Service::furnished();
    let key = service.make_key(&json!({}));
    let digest = digest(&key["secret"]);
    let holder = Holder::take(&service);
    std::thread::scope(|scope| {
        let suspend = || {
            service.patch(
                "/admin/v1/users/usr_a?force=true",
                &json!({"status": "suspended"}),
            )
        };
        let writers: Vec<_> = (0..4).map(|_| scope.spawn(suspend)).collect();
        // While they wait for the lock.
        while writers.iter().any(|writer| !writer.is_finished()) {
            let known = service.resolve(&[&digest]);
            assert_eq!(known["results"][0]["user"]["status"], "active");
            assert_eq!(service.changes("?after=3")["cursor"], 3);
            service.get("/admin/v1/keys").expect(200);
            assert_eq!(service.send("GET", "/readyz", None, None).status, 200);
            assert_eq!(service.send("GET", "/metrics", None, None).status, 200);
        }
        for writer in writers {
            let answer = writer.join().unwrap();
            answer.problem(503);
            assert_eq!(answer.header("retry-after"), "1");
            assert!(answer.text.contains("locked"), "{}", answer.text);
        }
    });
    let metrics = service.send("GET", "/metrics", None, None).text;
    assert!(
        metrics.contains(r#"keybound_service_database_errors_total{error="busy"} 4"#),
        "{metrics}"
    );
    holder.release();
    service
        .patch(
            "/admin/v1/users/usr_a?force=true",
            &json!({"status": "suspended"}),
        )
        .expect(200);
    assert_eq!(service.changes("?after=3")["cursor"], 4);
}
