"""Define the tables of a history for `database.py`. docs/history.md describes the columns."""

# "ftc1" in ASCII: distinguishes a history from another program's database.
APPLICATION_ID = 0x66746331
SCHEMA_VERSION = 1

# A run's id is its start in milliseconds since 1970, or the next free number: runs and points are
# in the order of time. The primary key stores a case's points of a metric together.
TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, started TEXT NOT NULL, seconds REAL,
    source TEXT NOT NULL, version TEXT NOT NULL, commit_id TEXT NOT NULL, profile TEXT NOT NULL,
    devices TEXT NOT NULL, command TEXT NOT NULL, updated INTEGER NOT NULL, failed INTEGER,
    environment TEXT NOT NULL
);
CREATE TABLE cases (
    id INTEGER PRIMARY KEY, suite TEXT NOT NULL, name TEXT NOT NULL, device TEXT NOT NULL,
    method TEXT NOT NULL, task TEXT NOT NULL, model TEXT NOT NULL, shots INTEGER,
    options TEXT NOT NULL, UNIQUE (name, suite, device)
);
CREATE INDEX cases_by_method ON cases (method);
CREATE TABLE metrics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, unit TEXT NOT NULL);
CREATE TABLE results (
    case_id INTEGER NOT NULL REFERENCES cases, run_id INTEGER NOT NULL REFERENCES runs,
    verdict TEXT, failed INTEGER, accepted INTEGER NOT NULL, seeds INTEGER NOT NULL, seconds REAL,
    trainable INTEGER, parameters INTEGER, created TEXT,
    PRIMARY KEY (case_id, run_id)
) WITHOUT ROWID;
CREATE TABLE points (
    case_id INTEGER NOT NULL REFERENCES cases, metric_id INTEGER NOT NULL REFERENCES metrics,
    run_id INTEGER NOT NULL REFERENCES runs, value REAL NOT NULL, sd REAL,
    PRIMARY KEY (case_id, metric_id, run_id)
) WITHOUT ROWID;
CREATE TABLE claims (
    id INTEGER PRIMARY KEY, suite TEXT NOT NULL, profile TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (suite, profile, name)
);
CREATE TABLE outcomes (
    claim_id INTEGER NOT NULL REFERENCES claims, run_id INTEGER NOT NULL REFERENCES runs,
    verdict TEXT NOT NULL, outcome TEXT, failed INTEGER NOT NULL, accepted INTEGER NOT NULL,
    value REAL, error REAL, n INTEGER, freedom REAL, unit TEXT,
    PRIMARY KEY (claim_id, run_id)
) WITHOUT ROWID;
CREATE VIEW history AS
    SELECT runs.started, runs.commit_id, runs.profile, runs.source, cases.suite,
        cases.name AS "case", cases.device, cases.method, cases.task, cases.model, cases.shots,
        metrics.name AS metric, metrics.unit, points.value, points.sd, results.seeds,
        results.verdict, results.failed, results.accepted
    FROM points JOIN cases ON cases.id = points.case_id
        JOIN metrics ON metrics.id = points.metric_id JOIN runs ON runs.id = points.run_id
        JOIN results ON results.case_id = points.case_id AND results.run_id = points.run_id;
"""
# Added within the same schema version, so older histories may lack this table.
SPENT_TABLE = """
CREATE TABLE IF NOT EXISTS spent (
    run_id INTEGER NOT NULL REFERENCES runs, kind TEXT NOT NULL, name TEXT NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (run_id, kind, name)
) WITHOUT ROWID
"""
