//! A real FTP server that somebody else wrote, on a directory.

use std::net::Ipv4Addr;
use std::path::Path;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running server, anonymous and read by anybody. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct FtpServer {
    port: u16,
    accepting: JoinHandle<()>,
}

impl FtpServer {
    pub(crate) async fn start(root: &Path) -> FtpServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let root = root.to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let root = root.clone();
                let files = move || unftp_sbe_fs::Filesystem::new(root.clone()).expect("a directory");
                let server = libunftp::ServerBuilder::new(Box::new(files)).build().expect("a server");
                tokio::spawn(server.service(stream));
            }
        });
        FtpServer { port, accepting }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ftp://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for FtpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
