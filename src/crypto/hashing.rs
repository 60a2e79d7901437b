//! Password hashing (argon2id) on a few threads of its own, each of which keeps its memory, behind a bounded queue.
//!
//! Allocating 19 MiB for each hash lets the process grow to gigabytes under very many logins; a thread that keeps its
//! block does not. The threads have a low priority, so that requests that need no hash do not wait for those that do.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use argon2::Params;
use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::oneshot;

use super::{
    argon2id::{Check, HASH_BYTES, HashError, check, hash},
    memory::Memory,
};
use crate::{
    config,
    domain::{NewPassword, Password, PasswordHash},
};

/// How many hashes may wait for each thread: one to two seconds' worth.
const QUEUE_PER_THREAD: usize = 100;
/// The threads' nice value: below everything else, above idle work.
const NICE: i32 = 10;

/// Hashes passwords, and checks them against hashes.
#[derive(Clone)]
pub struct Hasher {
    queue: Sender<Job>,
    params: Params,
}

type Job = Box<dyn FnOnce(&Params, &mut Memory) + Send>;

impl Hasher {
    /// Starts `threads` threads, which stop when the last `Hasher` is dropped. Memory is allocated at the first hash.
    ///
    /// # Errors
    /// If the parameters are out of argon2's range, or no thread can be started.
    pub fn start(settings: &config::Password, threads: usize) -> Result<Self, HashError> {
        let failed = |why: &dyn std::fmt::Display| HashError::Failed(format!("cannot start hashing: {why}"));
        let params =
            Params::new(settings.memory_kib, settings.iterations, settings.parallelism, Some(HASH_BYTES))
                .map_err(|e| failed(&e))?;
        let (queue, jobs) = bounded(QUEUE_PER_THREAD * threads);
        for number in 0..threads {
            let (jobs, params) = (jobs.clone(), params.clone());
            let run = move || run(&jobs, &params);
            thread::Builder::new().name(format!("hasher-{number}")).spawn(run).map_err(|e| failed(&e))?;
        }
        Ok(Self { queue, params })
    }

    /// # Errors
    /// `Busy` if too many wait.
    pub async fn hash(&self, password: NewPassword) -> Result<PasswordHash, HashError> {
        self.ask(move |params, memory| hash(params, password.as_bytes(), memory)).await
    }

    /// Checks `password` against `hash`. Without a hash it is wrong, after the same work. Skipped if `is_wanted` says no when
    /// its turn comes.
    ///
    /// # Errors
    /// `Busy` if too many wait, or it was skipped.
    pub async fn check(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
        is_wanted: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<Check, HashError> {
        let check = move |params: &Params, memory: &mut Memory| {
            if !is_wanted() {
                return Err(HashError::Busy);
            }
            check(params, password.as_bytes(), hash.as_ref(), memory)
        };
        self.ask(check).await
    }

    /// Hashes a password that was just found right, with the parameters of the settings.
    ///
    /// # Errors
    /// `Busy` if too many wait.
    pub async fn renew(&self, password: Password) -> Result<PasswordHash, HashError> {
        self.ask(move |params, memory| hash(params, password.as_bytes(), memory)).await
    }

    /// Runs other work that takes milliseconds, behind the same queue and with the same low priority.
    ///
    /// # Errors
    /// `Busy` if too many wait.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        self.ask(move |_, _| Ok(work())).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Params, &mut Memory) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |params, memory| {
            // A caller that has gone away needs no answer.
            if !reply.is_closed() {
                let _ = reply.send(work(params, memory));
            }
        });
        self.queue.try_send(job).map_err(|_| HashError::Busy)?;
        answer.await.unwrap_or_else(|_| Err(HashError::Failed("hashing panicked".to_owned())))
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("params", &self.params).finish_non_exhaustive()
    }
}

fn run(jobs: &Receiver<Job>, params: &Params) {
    // Without the right to lower its priority it works all the same.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut memory = Memory::default();
    while let Ok(job) = jobs.recv() {
        // A job that panics drops its reply. The thread must go on: without it no login would be possible.
        let _ = catch_unwind(AssertUnwindSafe(|| job(params, &mut memory)));
        // A stored hash with larger parameters is no reason to keep more memory.
        memory.shrink(params.block_count());
    }
}

#[cfg(test)]
mod tests {
    use argon2::{Argon2, PasswordHash as Phc, PasswordVerifier};

    use super::*;
    use crate::domain::{Email, PasswordPolicy, Profile};

    const CHEAP: config::Password = config::Password {
        min_length: 8,
        memory_kib: 64,
        iterations: 1,
        parallelism: 1,
        max_concurrent_hashes: 1,
    };

    fn new_password(typed: &str) -> NewPassword {
        let email = Email::parse("email", "ann@example.com").expect("plain");
        let profile = Profile { email, first_name: None, last_name: None };
        let policy = PasswordPolicy { min_chars: 8, shop_name: "Coffee Shop".to_owned() };
        policy.check("password", typed, &profile).expect("good")
    }

    fn password(typed: &str) -> Password {
        Password::parse("password", typed).expect("short enough")
    }

    #[tokio::test]
    async fn a_hash_that_panics_is_the_only_one() {
        let hasher = Hasher::start(&CHEAP, 1).expect("started");
        let panicked = hasher.ask::<()>(|_, _| panic!("as the test wants it")).await;
        assert!(matches!(panicked, Err(HashError::Failed(_))), "{panicked:?}");
        hasher.hash(new_password("mocha stirs slowly")).await.expect("hashed");
    }

    #[tokio::test]
    async fn a_hash_is_a_phc_string_that_others_can_check() {
        let hasher = Hasher::start(&CHEAP, 1).expect("started");
        let hash = hasher.hash(new_password("mocha stirs slowly")).await.expect("hashed");
        assert!(hash.as_phc().starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{}", hash.as_phc());
        let phc = Phc::new(hash.as_phc()).expect("a PHC string");
        assert!(Argon2::default().verify_password(b"mocha stirs slowly", &phc).is_ok());
    }

    #[tokio::test]
    async fn only_the_password_is_right_and_every_salt_is_another() {
        let hasher = Hasher::start(&CHEAP, 1).expect("started");
        let one = hasher.hash(new_password("mocha stirs slowly")).await.expect("hashed");
        let two = hasher.hash(new_password("mocha stirs slowly")).await.expect("hashed");
        assert_ne!(one, two);
        let check =
            |typed, hash: Option<&PasswordHash>| hasher.check(password(typed), hash.cloned(), || true);
        assert_eq!(check("mocha stirs slowly", Some(&one)).await.expect("checked"), Check::Right);
        assert_eq!(check("Mocha stirs slowly", Some(&one)).await.expect("checked"), Check::Wrong);
        assert_eq!(check("mocha stirs slowly ", Some(&one)).await.expect("checked"), Check::Wrong);
        assert_eq!(check("mocha stirs slowly", None).await.expect("checked"), Check::Wrong);
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_right_but_old() {
        let old = Hasher::start(&CHEAP, 1).expect("started");
        let hash = old.hash(new_password("mocha stirs slowly")).await.expect("hashed");
        for settings in [
            config::Password { memory_kib: 128, ..CHEAP },
            config::Password { memory_kib: 32, ..CHEAP },
            config::Password { iterations: 2, ..CHEAP },
        ] {
            let hasher = Hasher::start(&settings, 1).expect("started");
            let found = hasher
                .check(password("mocha stirs slowly"), Some(hash.clone()), || true)
                .await
                .expect("checked");
            assert_eq!(found, Check::RightButOld);
            let renewed = hasher.renew(password("mocha stirs slowly")).await.expect("hashed");
            let found =
                hasher.check(password("mocha stirs slowly"), Some(renewed), || true).await.expect("checked");
            assert_eq!(found, Check::Right);
        }
    }

    #[tokio::test]
    async fn a_queue_that_is_full_says_so() {
        let slow = config::Password { memory_kib: 8192, ..CHEAP };
        let hasher = Hasher::start(&slow, 1).expect("started");
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..QUEUE_PER_THREAD * 2 {
            let hasher = hasher.clone();
            waiting.spawn(async move { hasher.check(password("mocha stirs slowly"), None, || true).await });
        }
        let answers = waiting.join_all().await;
        let busy = answers.iter().filter(|answer| matches!(answer, Err(HashError::Busy))).count();
        assert!(busy > 0 && busy < answers.len(), "{busy} of {} were refused", answers.len());
    }

    #[tokio::test]
    async fn a_hundred_may_wait_for_each_thread() {
        let hasher = Hasher::start(&CHEAP, 3).expect("started");
        assert_eq!(hasher.queue.capacity(), Some(300));
    }
}
