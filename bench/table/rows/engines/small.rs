//! A small store on PostgreSQL, for what depends on how often transactions meet and on the disk.

use super::{
    super::super::{
        postgres::{Cluster, Disk},
        seed::{self, Person},
        shop::Server,
    },
    super::{CONNECTIONS, refresh::Refresher},
};

const USERS: u32 = 20_000;
/// How many users log in by turns on each connection.
pub const SHARE: usize = 20;

/// A small store, which has a session of each user.
pub struct Small {
    pub cluster: Cluster,
    pub users: u32,
}

impl Small {
    pub fn new(disk: Disk) -> Self {
        let cluster = Cluster::with_users(USERS, disk);
        cluster.add_sessions_of(USERS);
        Self { cluster, users: USERS }
    }

    /// Users from all over it. Transactions that touch one page of an index are in conflict, and neighbours are on one page.
    pub fn people(&self) -> Vec<Person> {
        let all: Vec<_> = seed::customers().take_while(|person| person.0 < self.users).collect();
        let count = CONNECTIONS * SHARE;
        all.iter().step_by(all.len() / count).take(count).copied().collect()
    }

    /// Clients that each renew the tokens of one session; others began between theirs.
    pub fn refreshers(&self, server: &Server) -> Vec<Refresher> {
        let people = self.people().into_iter().step_by(SHARE);
        let refreshers = people.map(|person| {
            self.cluster.add_sessions();
            Refresher::new(server, person)
        });
        refreshers.collect()
    }
}
