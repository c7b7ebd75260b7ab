//! The world of one schedule: its time, what is to happen in it, and who lives there. Only the
//! seed decides what comes next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pagecast::clock::Millis;
use pagecast::http_client::{Answer, Failure, HttpClient};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::oneshot;

use crate::mail::{Letter, Sent};
use crate::merchant::Told;
use crate::meta::{HOUR, MINUTE, Meta, Mutant, Request, SECOND, page_id};
use crate::plan::{Plan, START, Trouble, Weather};
use crate::process::{Job, Now, Process, Wishes};

/// How long the calm may take until every campaign has ended.
const PATIENCE: Millis = 72 * HOUR;
/// The longest pause between two looks of an idle process while something is due: what a second is
/// to the clockwork, stretched, since nothing may depend on it.
const LONGEST_NAP: Millis = 30 * MINUTE;

pub(crate) enum Event {
    /// The clockwork of a process asks the rows what is due.
    Tick {
        worker: usize,
        life: u64,
    },
    Nudge(Job),
    Wake {
        worker: usize,
        life: u64,
        wake: oneshot::Sender<()>,
    },
    Arrives {
        request: Request,
        answer: Option<Return>,
    },
    Answer {
        answer: Return,
        what: Result<Answer, Failure>,
    },
    Mail(Letter),
    Starts(usize),
    Thaws {
        worker: usize,
        life: u64,
    },
    Happens(Trouble),
    Calm,
    Check,
}

/// The way back to whoever called.
pub(crate) struct Return {
    pub(crate) worker: usize,
    pub(crate) life: u64,
    pub(crate) reply: oneshot::Sender<Result<Answer, Failure>>,
    pub(crate) after: Millis,
}

pub(crate) struct Worker {
    pub(crate) process: Option<Process>,
    /// Counts its processes, so that what was meant for a dead one does not reach its successor.
    pub(crate) life: u64,
    frozen: bool,
    backlog: Vec<Event>,
    nap: Millis,
    seen: u64,
    stopping: bool,
}

/// A campaign message on its way to Meta, as it left the process.
#[derive(Clone, Debug)]
pub(crate) struct Departure {
    pub(crate) at: Millis,
    pub(crate) page: String,
    pub(crate) person: Option<usize>,
    pub(crate) text: String,
    pub(crate) window_open: bool,
    pub(crate) paid: bool,
}

pub(crate) struct World {
    pub(crate) rng: StdRng,
    pub(crate) now: Now,
    pub(crate) plan: Plan,
    pub(crate) meta: Meta,
    pub(crate) merchant: Process,
    pub(crate) campaigns: Vec<Told>,
    pub(crate) departures: Vec<Departure>,
    pub(crate) mail: Vec<Sent>,
    pub(crate) was_frozen: bool,
    pub(crate) violations: Vec<String>,
    /// Whether the story is printed as it happens.
    pub(crate) is_told: bool,
    /// A hash of everything that happened: two runs of a seed must agree.
    pub(crate) fingerprint: u64,
    pub(crate) weather: Weather,
    pub(crate) is_calm: bool,
    workers: Vec<Worker>,
    agenda: BTreeMap<(Millis, u64), Event>,
    next: u64,
    activity: u64,
    nudged: BTreeSet<Job>,
    file: PathBuf,
    http: HttpClient,
    seed: u64,
}

impl World {
    /// A world on a fresh copy of the migrated database.
    pub(crate) fn new(seed: u64, file: &Path, http: &HttpClient, mutant: Mutant) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let plan = Plan::draw(&mut rng);
        let now = Now::at(START);
        let merchant = Process::start(file, &now, http, plan.warm_up, seed ^ 0xface, 2);
        let workers = (0..plan.workers).map(|_| Worker::absent()).collect();
        Self {
            meta: Meta::new(plan.people.clone(), mutant),
            rng,
            now,
            plan,
            merchant,
            campaigns: vec![],
            departures: vec![],
            mail: vec![],
            was_frozen: false,
            violations: vec![],
            is_told: false,
            fingerprint: 0xcbf2_9ce4_8422_2325,
            weather: Weather::Fair,
            is_calm: false,
            workers,
            agenda: BTreeMap::new(),
            next: 0,
            activity: 0,
            nudged: BTreeSet::new(),
            file: file.to_owned(),
            http: http.clone(),
            seed,
        }
    }

    /// Lives through the whole schedule.
    pub(crate) fn run(&mut self) {
        self.furnish();
        for worker in 0..self.workers.len() {
            self.starts(worker);
        }
        for (at, trouble) in std::mem::take(&mut self.plan.troubles) {
            self.plan_at(at, Event::Happens(trouble));
        }
        self.plan_at(self.plan.calm_at, Event::Calm);
        while let Some(((at, _), event)) = self.agenda.pop_first() {
            self.now.set(at.max(self.now.get()));
            self.happens(event);
            if !self.violations.is_empty() {
                return;
            }
        }
    }

    pub(crate) fn after(&mut self, wait: Millis, event: Event) {
        self.plan_at(self.now.get() + wait, event);
    }

    fn plan_at(&mut self, at: Millis, event: Event) {
        self.next += 1;
        self.agenda.insert((at, self.next), event);
    }

    pub(crate) fn log(&mut self, line: impl FnOnce() -> String) {
        let line = format!("{:>11} {}", self.now.get() - START, line());
        for byte in line.bytes() {
            self.fingerprint = (self.fingerprint ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.is_told {
            eprintln!("{line}");
        }
    }

    pub(crate) fn violated(&mut self, what: String) {
        self.log(|| format!("VIOLATED {what}"));
        self.violations.push(what);
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Starts(worker) => self.starts(worker),
            Event::Thaws { worker, life } => self.thaws(worker, life),
            Event::Mail(letter) => {
                self.keeps(letter);
                self.nudges(Job::Webhooks);
            }
            Event::Nudge(job) => self.nudged(job),
            Event::Arrives { request, answer } => self.arrives(&request, answer),
            Event::Happens(trouble) => self.befalls(trouble),
            Event::Calm => self.calms(),
            Event::Check => self.checks(),
            Event::Tick { worker, life, .. }
            | Event::Wake { worker, life, .. }
            | Event::Answer {
                answer: Return { worker, life, .. },
                ..
            } => self.reaches(worker, life, event),
        }
    }

    /// An event for a process: lost with it, kept while it is frozen.
    fn reaches(&mut self, worker: usize, life: u64, event: Event) {
        let it = &mut self.workers[worker];
        if it.life != life || it.process.is_none() {
            return;
        }
        if it.frozen {
            it.backlog.push(event);
            return;
        }
        match event {
            Event::Tick { .. } => self.ticks(worker),
            Event::Wake { wake, .. } => {
                let _ = wake.send(());
                self.runs(worker);
            }
            Event::Answer { answer, what } => {
                self.activity += 1;
                let _ = answer.reply.send(what);
                self.runs(worker);
            }
            _ => {}
        }
    }

    fn ticks(&mut self, worker: usize) {
        let upkeep = self.rng.random_ratio(1, 8);
        let it = &mut self.workers[worker];
        let Some(process) = it.process.as_ref().filter(|_| !it.stopping) else {
            return;
        };
        process.begin(Job::Campaigns);
        process.begin(Job::Pages);
        if upkeep {
            process.begin(Job::Webhooks);
            process.begin(Job::Sweep);
        }
        let idle = it.seen == self.activity;
        it.seen = self.activity;
        it.nap = if idle {
            (it.nap * 4).min(LONGEST_NAP)
        } else {
            SECOND
        };
        let (life, mut nap) = (it.life, it.nap);
        self.runs(worker);
        if idle && nap > MINUTE {
            nap = nap.max(self.nothing_due_for());
        }
        self.after(nap, Event::Tick { worker, life });
    }

    /// Somebody says that there may be work; said twice before it is heard, it is heard once.
    pub(crate) fn nudges(&mut self, job: Job) {
        if self.nudged.insert(job) {
            let wait = self.rng.random_range(5..500);
            self.after(wait, Event::Nudge(job));
        }
    }

    /// A nudge reaches whoever is there, or nobody.
    fn nudged(&mut self, job: Job) {
        self.nudged.remove(&job);
        let worker = self.rng.random_range(0..self.workers.len());
        let it = &self.workers[worker];
        if let Some(process) = &it.process
            && !it.frozen
            && !it.stopping
        {
            process.begin(job);
            self.runs(worker);
        }
    }

    /// Lets a process go on until it waits for the world, and grants what it wants.
    fn runs(&mut self, worker: usize) {
        loop {
            let it = &self.workers[worker];
            let (Some(process), life) = (&it.process, it.life) else {
                return;
            };
            let wishes = process.run();
            let (dead, busy) = (process.is_dead(), process.is_busy());
            let Wishes {
                calls,
                sleeps,
                pages,
                errors,
            } = wishes;
            if !dead {
                for page in &pages {
                    process.begin(Job::Messages(*page));
                }
            }
            for error in errors {
                self.violated(format!("a job failed: {error}"));
            }
            for sleep in sleeps {
                let wake = sleep.wake;
                self.plan_at(sleep.until, Event::Wake { worker, life, wake });
            }
            for call in calls {
                self.activity += 1;
                self.departs(worker, life, call);
            }
            if dead {
                self.dies(worker);
                return;
            }
            if pages.is_empty() {
                if self.workers[worker].stopping && !busy {
                    self.log(|| format!("worker {worker} stopped"));
                    self.dies(worker);
                }
                return;
            }
        }
    }

    fn starts(&mut self, worker: usize) {
        if self.workers[worker].process.is_some() {
            return;
        }
        let seed = self.seed ^ self.rng.random::<u64>();
        let process = Process::start(
            &self.file,
            &self.now,
            &self.http,
            self.plan.warm_up,
            seed,
            1,
        );
        let life = self.workers[worker].life + 1;
        self.log(|| format!("worker {worker} starts, life {life}"));
        self.workers[worker] = Worker {
            process: Some(process),
            life,
            ..Worker::absent()
        };
        let wait = self.rng.random_range(0..SECOND);
        self.after(wait, Event::Tick { worker, life });
    }

    fn dies(&mut self, worker: usize) {
        self.log(|| format!("worker {worker} is gone"));
        let it = &mut self.workers[worker];
        it.process = None;
        it.backlog.clear();
        let wait = match self.rng.random_range(0..4) {
            0 => self.rng.random_range(MINUTE..40 * MINUTE),
            _ => self.rng.random_range(SECOND..MINUTE),
        };
        self.after(wait, Event::Starts(worker));
    }

    fn thaws(&mut self, worker: usize, life: u64) {
        let it = &mut self.workers[worker];
        if it.life != life || !it.frozen {
            return;
        }
        it.frozen = false;
        let mut backlog = std::mem::take(&mut it.backlog);
        self.log(|| format!("worker {worker} thaws"));
        // All of it is there at once; the order in which the process notices is anybody's guess.
        while !backlog.is_empty() {
            let event = backlog.swap_remove(self.rng.random_range(0..backlog.len()));
            self.reaches(worker, life, event);
        }
    }

    fn befalls(&mut self, trouble: Trouble) {
        self.log(|| format!("{trouble:?}"));
        match trouble {
            Trouble::Weather(weather) => self.weather = weather,
            Trouble::Kill { worker, steps } => {
                if let Some(process) = &self.workers[worker].process {
                    process.dies_after(steps);
                    if steps % 4 == 0 {
                        self.dies(worker);
                    }
                }
            }
            Trouble::Freeze { worker, span } => {
                let it = &mut self.workers[worker];
                if it.process.is_some() && !it.frozen {
                    it.frozen = true;
                    self.was_frozen = true;
                    let life = it.life;
                    self.after(span, Event::Thaws { worker, life });
                }
            }
            Trouble::Deploy { worker } => {
                let it = &mut self.workers[worker];
                if let Some(process) = &it.process
                    && !it.frozen
                {
                    it.stopping = true;
                    process.app.stop.cancel();
                    self.runs(worker);
                }
            }
            other => self.people_act(other),
        }
    }

    fn calms(&mut self) {
        self.log(|| "CALM".to_owned());
        self.is_calm = true;
        self.weather = Weather::Fair;
        for worker in 0..self.workers.len() {
            let life = self.workers[worker].life;
            self.thaws(worker, life);
            if let Some(process) = &self.workers[worker].process {
                process.lives_on();
            }
            self.starts(worker);
        }
        self.mends();
        self.after(10 * MINUTE, Event::Check);
    }

    fn checks(&mut self) {
        if self.meta.mutant.resends_by_hand {
            self.resends_by_hand();
        }
        self.mends();
        let mail_to_come = self
            .agenda
            .values()
            .any(|event| matches!(event, Event::Mail(_)));
        let open = self.open();
        let Some(open) = open else {
            if mail_to_come {
                self.after(30 * MINUTE, Event::Check);
            } else {
                self.agenda.clear();
            }
            return;
        };
        if self.now.get() > self.plan.calm_at + PATIENCE {
            self.violated(format!("it does not end: {open}"));
            return;
        }
        let calm_for = self.now.get() - self.plan.calm_at;
        self.after((calm_for / 2).max(10 * MINUTE), Event::Check);
    }

    /// Whom a person's Page is.
    pub(crate) fn page_of(&self, person: usize) -> String {
        page_id(self.meta.people[person].page)
    }
}

impl Worker {
    fn absent() -> Self {
        Self {
            process: None,
            life: 0,
            frozen: false,
            backlog: vec![],
            nap: SECOND,
            seen: 0,
            stopping: false,
        }
    }
}
