//! The options of the commands that ask a running gateway.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub struct GatewayArgs {
    /// Where the gateway is. Towards another machine use https or a tunnel, for the key goes along.
    #[arg(long, env = "RINGWAY_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub url: String,
    /// The master key, or a virtual key with an admin scope.
    #[arg(long, env = "RINGWAY_MASTER_KEY", hide_env_values = true, value_name = "KEY")]
    pub key: Option<String>,
    /// Certificates (PEM) that are trusted besides the system's, for https.
    #[arg(long, env = "RINGWAY_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(flatten)]
    pub gateway: GatewayArgs,
    #[command(subcommand)]
    pub command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Makes a key. The key stands on the standard output, this once.
    Create(NewKeyArgs),
    /// Lists the keys.
    List {
        /// Those of this user path and below it.
        #[arg(long, value_name = "PATH")]
        user_path: Option<String>,
    },
    /// Shows one key.
    Show { id: String },
    /// Ends the use of a key.
    #[command(alias = "deactivate")]
    Disable { id: String },
    /// Gives a key another secret. The key stands on the standard output, this once.
    Rotate {
        id: String,
        /// How many seconds the former secret stays good.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        grace: u64,
    },
    /// Takes a key away.
    Delete { id: String },
}

#[derive(Debug, Args)]
pub struct NewKeyArgs {
    /// What it is called.
    pub name: String,
    /// Where its requests belong.
    #[arg(long, value_name = "PATH")]
    pub user_path: Option<String>,
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// A label of its requests; may stand several times.
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Vec<String>,
    /// A model that it may use (`model`, `provider/model`, `provider/*`); may stand several times. All without any.
    #[arg(long = "allow", value_name = "MODEL")]
    pub models: Vec<String>,
    /// Until when it is good, such as 2027-01-31.
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
    /// What it may do in the admin API, at its user path and below.
    #[arg(long, value_enum, default_value_t = AdminArg::None)]
    pub admin: AdminArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AdminArg {
    None,
    Read,
    Write,
}

#[derive(Debug, Args)]
pub struct BudgetsArgs {
    #[command(flatten)]
    pub gateway: GatewayArgs,
    #[command(subcommand)]
    pub command: BudgetsCommand,
}

#[derive(Debug, Subcommand)]
pub enum BudgetsCommand {
    /// Lists the budgets, with what is spent of them.
    List,
    /// Makes a budget, or puts another in its place.
    Set {
        #[command(flatten)]
        named: BudgetNamed,
        /// US dollars.
        #[arg(long, value_name = "DOLLARS")]
        amount: String,
        /// It is told and not held to.
        #[arg(long)]
        soft: bool,
    },
    /// Begins the window of a budget anew.
    Reset(BudgetNamed),
    /// Takes a budget away.
    Delete(BudgetNamed),
}

#[derive(Debug, Args)]
pub struct BudgetNamed {
    /// Whose it is.
    #[arg(long, value_enum, default_value_t = ScopeArg::UserPath)]
    pub scope: ScopeArg,
    /// The user path, label, key id, provider or model.
    pub subject: String,
    /// hourly, daily, weekly, monthly, or seconds such as 3600s.
    #[arg(long, default_value = "monthly")]
    pub period: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeArg {
    #[value(name = "user_path")]
    UserPath,
    Label,
    Key,
    Provider,
    Model,
}

#[derive(Debug, Args)]
pub struct UsageArgs {
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// By what it is summed up.
    #[arg(value_enum, default_value_t = UsageArg::Summary)]
    pub by: UsageArg,
    /// The first moment, such as 2026-01-31; thirty days ago without it.
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// The moment at which it ends; now without it.
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Of this user path and below it.
    #[arg(long, value_name = "PATH")]
    pub user_path: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UsageArg {
    Summary,
    Daily,
    Models,
    UserPaths,
    Labels,
    Keys,
}
