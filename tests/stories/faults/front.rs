//! What stands before the web processes of an operator: one address, connections handed to each
//! of them in turn, past those that are down.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(crate) struct Front {
    address: SocketAddr,
    backends: Arc<Mutex<Vec<SocketAddr>>>,
    _tasks: JoinSet<()>,
}

impl Front {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backends: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let known = backends.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut under_way = JoinSet::new();
            loop {
                let Ok((mut client, _)) = listener.accept().await else {
                    continue;
                };
                while under_way.try_join_next().is_some() {}
                let known = known.clone();
                under_way.spawn(async move {
                    if let Some(mut server) = reach(&known).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self {
            address,
            backends,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn leads_to(&self, backend: SocketAddr) {
        self.backends.lock().unwrap().push(backend);
    }

    pub(crate) fn leaves(&self, backend: SocketAddr) {
        self.backends.lock().unwrap().retain(|b| *b != backend);
    }
}

/// The next that answers; whoever was asked goes to the end of the line.
async fn reach(known: &Mutex<Vec<SocketAddr>>) -> Option<TcpStream> {
    let tries = known.lock().unwrap().len();
    for _ in 0..tries {
        let next = {
            let mut known = known.lock().unwrap();
            let next = *known.first()?;
            known.rotate_left(1);
            next
        };
        if let Ok(stream) = TcpStream::connect(next).await {
            return Some(stream);
        }
    }
    None
}
