//! Every bound, with its name, its unit and its reason. Relations between bounds are asserted when the crate is compiled.

/// A message head: request or response line, headers, blank line. nginx takes 4 × 8 KiB, Envoy 60 KiB.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// One line of a head, CRLF included.
pub const HEAD_LINE_BYTES_MAX: usize = 8 * 1024;
/// Headers in one head; HAProxy takes 101, Envoy 100.
pub const HEADERS_COUNT_MAX: usize = 100;
/// All Connection headers of one head. Every header is held against each of their options.
pub const CONNECTION_BYTES_MAX: usize = 512;
/// Content-Length above this is refused: beyond it a double cannot hold it exactly (2^53).
pub const BODY_LENGTH_MAX: u64 = 1 << 53;
/// Hex digits of a chunk size, and how many of them may be leading zeros.
pub const CHUNK_SIZE_DIGITS_MAX: usize = 16;
pub const CHUNK_SIZE_ZEROS_MAX: usize = 8;
/// Chunk extensions: of one chunk, and of one message.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 256;
pub const CHUNK_EXTENSIONS_BYTES_MAX: usize = 8 * 1024;
/// All trailer lines of one message.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// How deep JSON may nest. Fits the 64 bits in which the scanner keeps the kinds of the open containers.
pub const JSON_DEPTH_MAX: usize = 64;
/// Keys at the top level of one JSON document.
pub const JSON_KEYS_COUNT_MAX: usize = 1024;
/// All of those keys together, as they are spelled.
pub const JSON_KEYS_BYTES_MAX: usize = 64 * 1024;
/// What is kept of a value that is caught while its document streams by (`usage`, `error`).
pub const JSON_CAPTURE_BYTES_MAX: usize = 8 * 1024;
/// A multipart boundary (RFC 2046 §5.1.1).
pub const MULTIPART_BOUNDARY_BYTES_MAX: usize = 70;
/// One SSE event by default; longer ones pass through unread.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// One frame of AWS's binary event stream, and all headers of one. The format allows no more.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
pub const FRAME_HEADERS_BYTES_MAX: usize = 128 * 1024;
/// What one socket read takes at most, and the size of a pooled buffer.
pub const BUFFER_BYTES: usize = 16 * 1024;

const _: () = assert!(HEAD_LINE_BYTES_MAX <= HEAD_BYTES_MAX, "a line is part of a head");
const _: () = assert!(JSON_DEPTH_MAX <= 64, "the kinds of the open containers are kept in 64 bits");
const _: () = assert!(FRAME_HEADERS_BYTES_MAX < FRAME_BYTES_MAX, "headers are part of a frame");
/// Empty buffers that a shard keeps for the next connections (16 MiB).
pub const BUFFERS_KEPT_MAX: usize = 1024;
/// How often deadlines are looked at: a deadline fires at most this much late.
pub const ALARM_TICK_MS: u64 = 50;
/// Entries of a shard's ring. Small, because older kernels charge them to RLIMIT_MEMLOCK.
pub const RING_ENTRIES: u32 = 1024;
/// Pieces of one vectored send; what does not fit goes with the next.
pub const SEND_PIECES_MAX: usize = 64;
/// Messages that wait in a shard's inbox. A full inbox refuses; its sender decides what that means.
pub const INBOX_MESSAGES_MAX: usize = 4096;
/// Reads of one connection that had not to wait before it rests for a moment: about a millisecond's work.
pub const FILLS_IN_A_ROW_MAX: u32 = 64;
/// Sockets taken from a listener in one turn before others get their turn.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
/// How long a shard does not accept after the process ran out of descriptors.
pub const ACCEPT_PAUSE_MS: u64 = 100;
/// The least time that one of several addresses gets for its connect.
pub const CONNECT_SHARE_MS_MIN: u64 = 250;
/// Models of one provider that get a label of their own in metrics; all further ones share `other`.
pub const MODELS_LABELLED_MAX: usize = 256;
/// How long a scrape waits for a shard's counters before it goes on without them.
pub const SCRAPE_SHARD_MS_MAX: u64 = 1_000;
/// How often idle upstream connections are looked through.
pub const POOL_SWEEP_MS: u64 = 1_000;
/// How long a request for an unknown model waits for the first model lists after a start.
pub const CATALOGUE_WAIT_MS_MAX: u64 = 3_000;
/// A provider's model list.
pub const MODEL_LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What is looked at of a body that streams through, to find the model that it names.
pub const BODY_PEEK_BYTES: usize = 64 * 1024;
/// One line of a batch's input, which is held until it can be looked into. The field's largest requests, with pictures in
/// them, stay below it.
pub const BATCH_LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// An answer that is held until it is complete: a cut in it can still be told as an error, or tried again.
pub const ANSWER_HELD_BYTES_MAX: usize = BUFFER_BYTES;
/// What a client may still send after a refusal before the connection is cut.
pub const LINGER_BYTES_MAX: usize = 256 * 1024;
/// How long it may take for that.
pub const LINGER_MS_MAX: u64 = 2_000;
/// A client's request id that is taken over.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// One read of a request body.
pub const BODY_READ_BYTES: usize = 256 * 1024;
/// Interim answers (1xx) of an upstream before its final one.
pub const INTERIM_ANSWERS_MAX: usize = 16;
/// What a client is shown of a provider's error that is no JSON.
pub const ERROR_TEXT_BYTES_MAX: usize = 2 * 1024;
/// A head that a connection remembers, to know it again; usual ones have 200 to 1,500 bytes.
pub const FAMILIAR_HEAD_BYTES_MAX: usize = 2 * 1024;
/// Heads of one shard that are looked through for the same one before another is made.
pub const FAMILIAR_HEADS_COUNT_MAX: usize = 16;
/// Heads in a row that were others than the last: a connection that goes on so remembers none.
pub const FAMILIAR_MISSES_MAX: u8 = 4;
/// Pieces of work (a request, a read that was passed on) that a connection does without waiting before it gives way.
pub const TURNS_MAX: u32 = 32;
/// The least average rate of a request body, beyond its first `server.body_timeout`: slower ones are cut.
pub const BODY_BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// Bodies and events that are looked into are held in buffers, whose places are counted in 32 bits.
pub const HELD_BYTES_LIMIT: u64 = 2 << 30;
/// Gateways of this kind that a request may pass: more is a loop.
pub const HOPS_MAX: u64 = 4;
/// A pooled connection that closes this soon after a request was sent was stale; later it had the request in hand.
pub const STALE_MS_MAX: u64 = 1_000;
/// How long a request waits for a provider's first access token.
pub const TOKEN_WAIT_MS_MAX: u64 = 3_000;
/// How long a question for an access token may go unanswered before it is asked again. A shard gives one 10 s.
pub const TOKEN_ASK_AGAIN_MS: u64 = 30_000;
/// How long before its end a token is replaced: a tenth of its life, and at most this.
pub const TOKEN_EARLY_MS_MAX: u64 = 300_000;
/// The longest pause after a question for a token that failed; the first is a second.
pub const TOKEN_PAUSE_MS_MAX: u64 = 60_000;
/// An access token, which has to fit a line of a head.
pub const TOKEN_BYTES_MAX: usize = 6 * 1024;
/// What a token's source may answer.
pub const TOKEN_ANSWER_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(TOKEN_BYTES_MAX < HEAD_LINE_BYTES_MAX, "a token is part of a line");

/// How long a question about a name may go unanswered before it is asked again.
pub const DNS_ASK_AGAIN_MS: u64 = 5_000;
/// Data up to this size is copied behind what goes in front of it: one plain send costs less than one of many pieces.
pub const COPIED_BYTES_MAX: usize = 8 * 1024;

/// A whole answer that is translated has to be held; more of it is an error.
pub const TRANSLATED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Responses and conversations that are kept at a time, whatever their size.
pub const STATE_RECORDS_MAX: usize = 100_000;
/// What a kept record costs beside its bytes: tables, allocations.
pub const STATE_RECORD_BYTES: usize = 512;
/// The same for one item of a conversation.
pub const STATE_ITEM_BYTES: usize = 64;
/// Responses that follow each other by `previous_response_id`.
pub const STATE_CHAIN_MAX: usize = 4096;
/// How long a request waits for what is kept.
pub const STATE_MS_MAX: u64 = 2_000;

/// The name of an object that a provider keeps for a caller; longer ones go by their hash.
pub const OBJECT_NAME_BYTES_MAX: usize = 256;
/// Objects whose owner the offload thread knows without the store, and those that a shard knows by itself.
pub const OWNERS_KNOWN_MAX: usize = 100_000;
pub const OWNERS_NEAR_MAX: usize = 4_096;
/// Objects that one question to the store is about.
pub const OWNERS_ASKED_MAX: usize = 1_000;
/// How long the owner of a response is remembered. Providers keep one for 30 days (OpenAI's API reference).
pub const RESPONSES_OWNED_MS: u64 = 90 * 86_400_000;
/// Pages of a provider's list that are looked through for the objects of one caller.
pub const LIST_PAGES_MAX: usize = 50;
/// Results of a batch that are asked for at a time, where they come in pages.
pub const RESULTS_PAGE_MAX: usize = 100;
/// One page of such a list, or of results.
pub const LIST_PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Items on one page of a list, and the usual count (OpenAI's API reference).
pub const STATE_PAGE_ITEMS_MAX: usize = 100;
pub const STATE_PAGE_ITEMS_USUAL: usize = 20;

/// One file of the journal. A shard has one open, one held back, and starts another when it is full.
pub const SEGMENT_BYTES: usize = 1024 * 1024;
/// The longest one that any version has made.
pub const SEGMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Files of a shard that stay when they were read to their end, and are written again: what comes in while the last batch goes
/// to the store. Others are made and taken away.
pub const SEGMENTS_KEPT_MAX: usize = 4;
/// One record of the journal. What does not fit (bodies) goes into several.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Texts of a record that name something, and those that may be longer. What is longer is cut.
pub const RECORD_NAME_BYTES_MAX: usize = 256;
pub const RECORD_TEXT_BYTES_MAX: usize = 1024;
/// All labels of one record.
pub const RECORD_LABELS_BYTES_MAX: usize = 4 * 1024;
/// Attempts that a record lists; it counts those beyond.
pub const ATTEMPTS_RECORDED_MAX: usize = 32;
/// A piece of a body in one record; a body is cut into as many as it needs.
pub const PART_BYTES_MAX: usize = 60 * 1024;
/// The most that settings may have kept of a body in the audit log. Two of them fit a document of MongoDB (16 MiB).
pub const AUDIT_BODY_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Memory of a shard for bodies on their way to the audit log; those beyond it are counted and not kept.
pub const CAPTURES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A secret that is looked for by its text, and a word that may be taken for a key by its shape.
pub const SECRET_BYTES_MIN: usize = 6;
pub const KEY_SHAPE_BYTES_MIN: usize = 20;
/// How long the journal waits after a file could not be made before it tries again.
pub const JOURNAL_RETRY_MS: u64 = 200;
/// What of its journal a shard brings into memory at a time; a segment is a multiple of it.
pub const JOURNAL_AHEAD_BYTES: usize = 16 * 1024;
/// How far in front of what it writes a shard asks its processor for the journal's memory: the records of a few exchanges.
pub const JOURNAL_FETCH_BYTES: usize = 512;
/// What a processor fetches at a time, where these bytes matter.
pub const CACHE_LINE_BYTES: usize = 64;
const _: () =
    assert!(JOURNAL_FETCH_BYTES < JOURNAL_AHEAD_BYTES, "what is fetched was mostly brought in before");
const _: () =
    assert!(SEGMENT_BYTES.is_multiple_of(JOURNAL_AHEAD_BYTES), "what is brought in lies in the segment");
/// Ends of records that a shard knows to stand in its segment already; others are written each time.
pub const JOURNAL_TAILS_MAX: usize = 1_024;
/// Records that go to the store as one batch: in packs those of a file, because each commit costs as much for few as for many, and what it
/// pushes out of the processor's caches as well; as rows fewer, which take more memory.
pub const BATCH_PACKED_RECORDS_MAX: usize = 32_768;
pub const BATCH_ROWS_RECORDS_MAX: usize = 4096;
/// Records of a batch that end like others and were put together: no more are read when they have so many bytes.
pub const JOURNAL_JOINED_BYTES: usize = 4 * 1024 * 1024;
const _: () = assert!(SEGMENT_BYTES <= SEGMENT_BYTES_MAX, "what is written now can be read");

/// A pack of exchanges in the store is closed when it has so many bytes or exchanges.
pub const PACK_BYTES_MAX: usize = 128 * 1024;
pub const PACK_EXCHANGES_MAX: usize = 1024;
/// The time that a pack may span, from the beginning of its first exchange to that of its last. It is part of what a pack is:
/// whoever looks for a moment looks at all packs that begin so long before it. Exchanges that took longer are rows.
pub const PACK_SPAN_MS_MAX: u64 = 600_000;
/// Exchanges that took longer than this, and those that took longer than that, have packs of their own.
pub const PACK_AGES_MS: [u64; 2] = [4_000, 60_000];
const _: () = assert!(PACK_AGES_MS[0] < PACK_AGES_MS[1] && PACK_AGES_MS[1] < PACK_SPAN_MS_MAX, "ages grow");
/// Packs that one step of a sweep takes away or makes smaller.
pub const PACKS_SWEPT_MAX: u32 = 200;
/// Groups of packs whose sums are kept for the next look at what was spent, some 200 bytes each. A pack has at least one; what
/// comes beyond it is read again each time.
pub const PACK_GROUPS_KEPT_MAX: usize = 262_144;
/// How long before the end of what is asked for they are kept.
pub const PACKS_KEPT_MS: i64 = 36 * 60 * 1000;

/// A text by which rows of the store are found. Several of them fit one entry of PostgreSQL's B-tree (2,704 bytes).
pub const STORE_INDEXED_TEXT_BYTES_MAX: usize = 512;
/// How long a connection to a database may take to be made, TLS and log-in included.
pub const STORE_CONNECT_MS_MAX: u64 = 5_000;
/// The pause after an attempt to connect that failed doubles between these two.
pub const STORE_PAUSE_MS_MIN: u64 = 100;
pub const STORE_PAUSE_MS_MAX: u64 = 5_000;
/// Parameters of one statement. PostgreSQL counts them in 16 bits.
pub const STORE_PARAMETERS_MAX: usize = 32_000;
/// A page of a new file of SQLite, in bytes. Records are written at the ends of their trees: fewer pages are fewer writes.
pub const SQLITE_PAGE_BYTES: u32 = 16 * 1024;
/// Statements of SQLite that stay prepared: more than the keeper of records comes back to.
pub const SQLITE_STATEMENTS_KEPT: usize = 48;
/// Rows that one statement of SQLite inserts; with all columns of the widest table far below the parameters that it takes.
pub const SQLITE_INSERT_ROWS: usize = 32;
/// Between two looks whether a file of SQLite's that others open too is free.
pub const SQLITE_LOCKED_PAUSE_MS: u64 = 2;
/// Rows that an export holds at a time.
pub const STORE_EXPORT_ROWS: usize = 500;
/// The same where all that is managed is read at a start: a million keys are not asked for in thousands of questions.
pub const STORE_LOAD_ROWS: usize = 5_000;
/// Rows that one step of a sweep takes away.
pub const STORE_SWEEP_ROWS: usize = 500;

const _: () = assert!(STORE_PAUSE_MS_MIN <= STORE_PAUSE_MS_MAX, "a pause only grows");
/// How long the keeper of records rests when the journals are empty.
pub const RECORDS_TURN_MS: u64 = 200;
/// The pause after the store or the journal failed doubles between these two.
pub const RECORDS_PAUSE_MS_MIN: u64 = 100;
pub const RECORDS_PAUSE_MS_MAX: u64 = 5_000;
/// How long a stop waits for the records to reach the store. What is left is taken over by the next start.
pub const RECORDS_STOP_MS_MAX: u64 = 10_000;
/// How far the threads of the offload core stand back behind the shards, in steps of `nice`: with 5 they get a quarter of a
/// core that a busy shard shares with them, which is enough to keep up.
pub const OFFLOAD_NICE: i32 = 5;
/// How often the offload thread says that it lives, and after how long without that the gateway says that it is degraded.
pub const OFFLOAD_BEAT_MS: u64 = 500;
pub const OFFLOAD_STALL_MS: u64 = 5_000;
/// When the code that only the start needed goes out of memory.
pub const TRIM_AFTER_MS: u64 = 1_000;
/// Threads beside the offload thread for what blocks: SQLite, syncs, look-ups of names.
pub const BLOCKING_THREADS_MAX: usize = 8;

/// A user path in its normal form, and its segments.
pub const USER_PATH_BYTES_MAX: usize = 256;
pub const USER_PATH_DEPTH_MAX: usize = 16;
/// One label, and the labels of one request; further ones are not looked at.
pub const LABEL_BYTES_MAX: usize = 128;
pub const LABELS_COUNT_MAX: usize = 16;
/// Keys that were changed since the table of all keys was made; beyond it that table is made anew.
pub const KEY_CHANGES_MAX: usize = 4_096;
/// A pepper that can hardly be guessed.
pub const PEPPER_BYTES_MIN: usize = 16;
/// Memory for one key with a name, a path, a label and models that many keys may use, the tables included.
pub const KEY_BYTES_MAX: usize = 400;
/// Answers from which a provider's usual counts of tokens are known well enough to reserve by.
pub const ANSWERS_COUNT_MIN: u32 = 32;
/// Answers that count: when there are more, older ones count for half.
pub const ANSWERS_COUNT_MAX: u32 = 4_096;
/// Output tokens that are reserved while nothing is known of a model.
pub const OUTPUT_TOKENS_DEFAULT: u64 = 4_096;
/// How often changes of other processes are looked for, and how many of them are told apart.
pub const CHANGES_POLL_MS: u64 = 5_000;
pub const CHANGES_SEEN_MAX: usize = 10_000;
/// How often what limits and budgets have counted is saved on this machine.
pub const COUNTERS_SAVE_MS: u64 = 1_000;
/// How often budgets are held against what the store knows was spent.
pub const SPEND_COUNT_MS: u64 = 60_000;
/// How long the keeper of what is managed counts before it looks at everything else again.
pub const SPEND_TURN_MS: u64 = 1_000;
/// Workflows that are in force by the admin API: those of one place are looked through one by one.
pub const WORKFLOWS_COUNT_MAX: usize = 1_000;
/// A price list that is fetched, and how long its fetching may take. The greatest public one has about 3 MB.
pub const PRICE_LIST_BYTES_MAX: usize = 32 * 1024 * 1024;
pub const PRICE_LIST_MS_MAX: u64 = 60_000;
/// When a price list that could not be had or read is asked for again.
pub const PRICE_LIST_AGAIN_MS: u64 = 60_000;
/// A request to the admin API.
pub const ADMIN_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Requests to the admin API that are worked on at a time.
pub const ADMIN_VISITS_MAX: usize = 64;
/// A text in a request to the admin API, such as a name, and a longer one such as a description.
pub const ADMIN_NAME_BYTES_MAX: usize = 256;
pub const ADMIN_TEXT_BYTES_MAX: usize = 2_048;
/// Names in one list of a request to the admin API.
pub const ADMIN_LIST_COUNT_MAX: usize = 256;
/// Rows on one page of an answer of the admin API, and the usual count.
pub const ADMIN_PAGE_ROWS_MAX: usize = 1_000;
pub const ADMIN_PAGE_ROWS_USUAL: usize = 100;
/// How long a change of a setting through the admin API waits to be in force.
pub const SETTINGS_MS_MAX: u64 = 10_000;
/// Events of the live stream that are kept for readers that come back, and that wait for one reader: those of a batch of rows,
/// which are told one after the other.
pub const LIVE_EVENTS_KEPT_MAX: usize = 1_000;
pub const LIVE_EVENTS_WAITING_MAX: usize = 8_192;
const _: () = assert!(LIVE_EVENTS_WAITING_MAX >= 2 * BATCH_ROWS_RECORDS_MAX, "no batch alone is too much");
/// What leaves for a reader at a time.
pub const LIVE_PIECE_BYTES: usize = 64 * 1024;
/// Readers of the live stream at a time.
pub const LIVE_READERS_MAX: usize = 16;
/// How often a silent live stream says that it is there, and how long events are kept after the last reader left.
pub const LIVE_HEARTBEAT_MS: u64 = 15_000;
pub const LIVE_LINGER_MS: u64 = 60_000;
const _: () = assert!(LIVE_READERS_MAX < ADMIN_VISITS_MAX, "who watches leaves room for who works");
/// How long a request with a key that is not known yet waits for the keys to be read after a start.
pub const MANAGED_WAIT_MS_MAX: u64 = 3_000;
/// How long the head of a stream waits for the stream's first byte: what is cut in that time can be tried again, or told as
/// an error with its status. A provider that thinks for longer must not keep its head from the client.
pub const STREAM_HELD_MS_MAX: u64 = 250;
