//! `teectl top`: a server at work, in a terminal.

mod alarms;
mod queue;
mod rates;
mod reading;
mod samples;
mod screen;
mod terminal;

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use chrono::Utc;
use tee_api::{Client, ClientError};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use self::{
    rates::Rates,
    reading::Reading,
    screen::{Palette, Screen},
    terminal::{Input, Terminal},
};
use crate::{
    exit::{self, Exit},
    print::may_have_colours,
    server::ServerArgs,
};

const EXAMPLES: &str = "Keys: q or Ctrl-C quits.

Examples:
  teectl top
  teectl top --server https://proofs.example.org --ca-file cert.pem --token-file reader.token
  teectl top --json";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Time between two readings.
    #[arg(long = "interval", value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval_secs: u64,
    /// Print one reading as a JSON object, and exit.
    #[arg(long)]
    json: bool,
}

/// The data about a server so far.
struct View<'a> {
    server: &'a str,
    interval: Duration,
    palette: Palette,
    reading: Reading,
    read_at: Instant,
    rates: Rates,
    /// Why the last reading failed.
    problem: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(args: &Args) -> Result<Exit> {
    let client = args.server.client()?;
    // Before the terminal is taken over, so that an error at the start is reported like any other.
    let reading = Reading::read(&client).await?;
    if args.json {
        println!("{}", serde_json::to_string(&reading)?);
        return Ok(Exit::Success);
    }
    if !io::stdout().is_terminal() {
        let error =
            anyhow::anyhow!("the output is not a terminal: use --json for one reading, or the server's /metrics");
        return Ok(exit::unreadable(&error));
    }
    let interval = Duration::from_secs(args.interval_secs);
    let palette = Palette::new(may_have_colours());
    let view = View::new(&args.server.server, interval, palette, reading);
    watch(&client, view).await.context("terminal")?;
    Ok(Exit::Success)
}

/// Shows the server until somebody ends it. When this returns, the terminal is restored.
async fn watch(client: &Client, mut view: View<'_>) -> io::Result<()> {
    let [mut interrupted, mut told, mut hung_up] =
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    let mut terminal = Terminal::take()?;
    let mut input = terminal::input();
    let mut next = std::pin::pin!(next_reading(client, view.interval));
    loop {
        terminal.draw(|frame| view.screen().draw(frame))?;
        tokio::select! {
            input = input.recv() => match input {
                Some(Input::Redraw) => {}
                Some(Input::End) | None => break,
            },
            reading = &mut next => {
                view.take(reading);
                next.set(next_reading(client, view.interval));
            }
            // Ages grow even while a server does not answer.
            () = sleep(Duration::from_secs(1)) => {}
            _ = interrupted.recv() => break,
            _ = told.recv() => break,
            _ = hung_up.recv() => break,
        }
    }
    Ok(())
}

async fn next_reading(client: &Client, interval: Duration) -> Result<Reading, ClientError> {
    sleep(interval).await;
    Reading::read(client).await
}

impl<'a> View<'a> {
    fn new(server: &'a str, interval: Duration, palette: Palette, reading: Reading) -> Self {
        let read_at = Instant::now();
        let mut rates = Rates::default();
        rates.add(read_at, reading.counters);
        Self { server, interval, palette, reading, read_at, rates, problem: None }
    }

    /// After a failed reading, the last one stays on the screen.
    fn take(&mut self, reading: Result<Reading, ClientError>) {
        match reading {
            Ok(reading) => {
                self.read_at = Instant::now();
                self.rates.add(self.read_at, reading.counters);
                (self.reading, self.problem) = (reading, None);
            }
            Err(error) => self.problem = Some(error.to_string()),
        }
    }

    fn screen(&self) -> Screen<'_> {
        Screen {
            server: self.server,
            interval: self.interval,
            palette: self.palette,
            reading: &self.reading,
            age: self.read_at.elapsed(),
            rates: &self.rates,
            problem: self.problem.as_deref(),
            now: Utc::now(),
        }
    }
}
