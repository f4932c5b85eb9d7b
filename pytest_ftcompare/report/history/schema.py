"""The tables of a history: text and numbers only, for any SQLite client to query; docs/history.md tells what is in them."""

APPLICATION = 0x66746331  # "ftc1": what tells a history from another program's database
SCHEMA = 1

# A run's id is the moment it began, in milliseconds since 1970, or the next free one: so runs, and with them the points of a
# series, lie in the order of time. The points of one case and metric lie side by side, without an index of their own.
TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, started TEXT NOT NULL, seconds REAL, source TEXT NOT NULL,
    version TEXT NOT NULL, commit_id TEXT NOT NULL, profile TEXT NOT NULL, devices TEXT NOT NULL, command TEXT NOT NULL,
    updated INTEGER NOT NULL, failed INTEGER, environment TEXT NOT NULL
);
CREATE TABLE cases (
    id INTEGER PRIMARY KEY, suite TEXT NOT NULL, name TEXT NOT NULL, device TEXT NOT NULL, method TEXT NOT NULL,
    task TEXT NOT NULL, model TEXT NOT NULL, shots INTEGER, options TEXT NOT NULL, UNIQUE (name, suite, device)
);
CREATE INDEX cases_by_method ON cases (method);
CREATE TABLE metrics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, unit TEXT NOT NULL);
CREATE TABLE results (
    case_id INTEGER NOT NULL REFERENCES cases, run_id INTEGER NOT NULL REFERENCES runs, verdict TEXT, failed INTEGER,
    accepted INTEGER NOT NULL, seeds INTEGER NOT NULL, seconds REAL, trainable INTEGER, parameters INTEGER, created TEXT,
    PRIMARY KEY (case_id, run_id)
) WITHOUT ROWID;
CREATE TABLE points (
    case_id INTEGER NOT NULL REFERENCES cases, metric_id INTEGER NOT NULL REFERENCES metrics,
    run_id INTEGER NOT NULL REFERENCES runs, value REAL NOT NULL, sd REAL,
    PRIMARY KEY (case_id, metric_id, run_id)
) WITHOUT ROWID;
CREATE TABLE claims (
    id INTEGER PRIMARY KEY, suite TEXT NOT NULL, profile TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (suite, profile, name)
);
CREATE TABLE outcomes (
    claim_id INTEGER NOT NULL REFERENCES claims, run_id INTEGER NOT NULL REFERENCES runs, verdict TEXT NOT NULL, outcome TEXT,
    failed INTEGER NOT NULL, accepted INTEGER NOT NULL, value REAL, error REAL, n INTEGER, freedom REAL, unit TEXT,
    PRIMARY KEY (claim_id, run_id)
) WITHOUT ROWID;
CREATE VIEW history AS
    SELECT runs.started, runs.commit_id, runs.profile, runs.source, cases.suite, cases.name AS "case", cases.device,
        cases.method, cases.task, cases.model, cases.shots, metrics.name AS metric, metrics.unit, points.value, points.sd,
        results.seeds, results.verdict, results.failed, results.accepted
    FROM points JOIN cases ON cases.id = points.case_id JOIN metrics ON metrics.id = points.metric_id
        JOIN runs ON runs.id = points.run_id
        JOIN results ON results.case_id = points.case_id AND results.run_id = points.run_id;
"""
# Of the same schema, but younger than some histories: made where it is not there.
SPENT = """
CREATE TABLE IF NOT EXISTS spent (
    run_id INTEGER NOT NULL REFERENCES runs, kind TEXT NOT NULL, name TEXT NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (run_id, kind, name)
) WITHOUT ROWID
"""
