//! The command line as clap sees it: every option once, with the sentence that `--help` shows.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum, ValueHint};

use super::manage_args::{BudgetsArgs, GatewayArgs, KeysArgs, UsageArgs};

/// An LLM gateway: one base URL in front of every provider.
#[derive(Debug, Parser)]
#[command(
    name = "ringway",
    version,
    max_term_width = 100,
    after_long_help = "Examples:\n  \
        OPENAI_API_KEY=sk-… ringway serve\n      \
        Serves OpenAI's models on http://127.0.0.1:8080/v1; no file is needed.\n  \
        ringway simulate & SIMULATED_BASE_URL=http://127.0.0.1:9100/v1 ringway serve\n      \
        Tries the gateway out without any key.\n  \
        ringway check --config ringway.yaml\n      \
        Lists every mistake in the settings, or shows what they come to.\n\n\
        Exit codes: 0 all is well, 1 it failed while running, 2 wrong arguments or settings."
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the gateway.
    ///
    /// Providers are found in the environment (OPENAI_API_KEY, GROQ_API_KEY, OLLAMA_BASE_URL, …) and in the settings
    /// file. SIGHUP reads the settings again, SIGTERM lets running exchanges finish, a second signal ends at once.
    Serve(ServeArgs),
    /// Checks the settings and prints what they come to, secrets masked.
    ///
    /// Nothing is started and nobody is called. Every mistake is listed with its file, line and column.
    Check(SettingsArgs),
    /// Writes what was used, or the audit log, as JSON lines or CSV.
    ///
    /// Records go to the standard output, the oldest first. Times are dates (2026-01-31, which begin at midnight UTC) or moments (2026-01-31T10:00:00Z).
    /// The settings that `ringway serve` uses name the store; it is read and not changed, and the gateway may be running.
    Export(ExportArgs),
    /// Makes, lists and ends virtual keys of a running gateway.
    ///
    /// Through its admin API: RINGWAY_URL says where it is, RINGWAY_MASTER_KEY who asks.
    Keys(KeysArgs),
    /// Lists, sets, resets and takes away budgets of a running gateway.
    Budgets(BudgetsArgs),
    /// Shows what a running gateway's callers used and what it cost.
    Usage(UsageArgs),
    /// Says what would keep the gateway from running well, and how it is mended.
    ///
    /// Looks at settings, folders, store, clock and limits. Nothing is started or changed. The gateway may be running.
    Doctor(SettingsArgs),
    /// Turns the settings of another gateway into a settings file, on standard output.
    ///
    /// What has no equivalent is listed on the standard error, each with the reason. Keys come over by their hashes, so that
    /// those who hold them need no new ones: --keys names them, and --apply makes them at a running gateway.
    Import(ImportArgs),
    /// Shows, checks, imports and joins price lists.
    ///
    /// Prices are kept in catalogues: JSON lines with whole pico-dollars per token. docs/prices.md has the format.
    #[command(subcommand)]
    Prices(PricesCommand),
    /// Runs a simulated provider: every dialect, and faults on request.
    ///
    /// It speaks OpenAI's API (chat, Responses, completions, embeddings, models), Anthropic's Messages, Gemini's
    /// generateContent and Bedrock's Converse, whole and as streams.
    ///
    /// A request's `sim` member asks for behaviour: {"events":60,"pace_ms":20} paces a stream; {"tools":2} calls that many
    /// tools; {"thinking":3}, {"refusal":true}, {"finish":"length"}, {"unicode":true} and {"cached_tokens":9} change what
    /// the answer holds; {"echo":true} answers with the request's body. {"status":429,"retry_after":1},
    /// {"error_after_events":3}, {"delay_ms":500}, {"stall":"head"}, {"stall":"body"}, {"cut_after_events":3},
    /// {"reset_after_events":3}, {"drip_ms":5} and {"garbage":true} make it fail. The text of the last user turn can ask for
    /// the same: [[sim tools=2 thinking=3 finish=length]].
    ///
    /// GET /sim/last shows the last request. docs/OPERATING.md has the whole list.
    Simulate(SimulateArgs),
    /// Prints a completion script for a shell.
    ///
    /// For bash: ringway completions bash > /etc/bash_completion.d/ringway
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
}

#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Which records.
    #[arg(value_enum)]
    pub what: ExportArg,
    /// The first moment; without it everything that is kept.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// The moment at which it ends, which is not part of it; without it now.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// How records are written.
    #[arg(long, value_enum, default_value_t = FormatArg::Jsonl)]
    pub format: FormatArg,
    #[command(flatten)]
    pub settings: SettingsArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportArg {
    /// What was used and what it cost.
    Usage,
    /// The audit log.
    Audit,
    /// The attempts of audited exchanges at providers.
    AuditAttempts,
    /// Who changed what.
    AdminChanges,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    Jsonl,
    Csv,
}

#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// Whose settings they are.
    #[arg(value_enum)]
    pub from: ImportArg,
    /// GoModel's environment file, or LiteLLM's config.yaml.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Writes the settings to this file, which only its owner can read, and which must not be there yet.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
    /// Keys as JSON: what LiteLLM's /key/list answers with return_full_object=true, or the rows of GoModel's table auth_keys.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub keys: Option<PathBuf>,
    /// Makes the keys, with their budgets and limits, at a running gateway.
    #[arg(long, requires = "keys")]
    pub apply: bool,
    #[command(flatten)]
    pub gateway: GatewayArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportArg {
    #[value(name = "gomodel")]
    GoModel,
    #[value(name = "litellm")]
    LiteLlm,
}

#[derive(Debug, clap::Args)]
pub struct SettingsArgs {
    /// The settings file. Without it the variable RINGWAY_CONFIG may name one; else config/ringway.yaml and ringway.yaml
    /// are looked for.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum PricesCommand {
    /// Shows what a model costs today, at every provider that lists it.
    Show {
        /// The model, such as gpt-5, or provider/model for one provider.
        model: String,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Checks a price list and says what is in it.
    Check {
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Turns a public price list into a catalogue, on standard output.
    Import {
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Its format: litellm, genai-prices, models.dev, model-list, or a provider's name for the list that its own API
        /// serves. Found out when left out.
        #[arg(long, value_name = "FORMAT")]
        from: Option<String>,
        /// What the prices are said to come from; the file's name when left out.
        #[arg(long, value_name = "TEXT")]
        source: Option<String>,
        /// The day of the list, such as 2026-09-01.
        #[arg(long, value_name = "DAY")]
        date: String,
    },
    /// Joins catalogues into one, on standard output: what the first lists stays, the others fill it up.
    Join {
        #[arg(required = true, value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9100")]
    pub listen: SocketAddr,
    /// Event loops; 0 is one for every CPU that the process may use.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub shards: usize,
    /// The event loop to use.
    #[arg(long, value_enum, default_value_t = DriverArg::Auto)]
    pub driver: DriverArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DriverArg {
    Auto,
    #[value(name = "io_uring")]
    IoUring,
    Epoll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
    Powershell,
}
