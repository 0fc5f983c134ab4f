package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ErrSchema means that the store's tables are missing or belong to another
// release. The error says what to do.
var ErrSchema = errors.New("the tables do not fit this release")

// migrations are the steps that lead to the tables of this release. The first
// step leads to version 1. A released step never changes.
var migrations = []string{`
CREATE TABLE {versions} (
	version integer PRIMARY KEY,
	applied timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE {entries} (
	id      text COLLATE "C" PRIMARY KEY,
	version bigint NOT NULL CHECK (version > 0),
	due     bigint CHECK (due > 0),
	body    bytea NOT NULL,
	sum     integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX {due} ON {entries} (due) WHERE due IS NOT NULL;
`}

// Migration is one step that leads to the tables of this release.
type Migration struct {
	// Version is the version of the tables after the step, starting with 1.
	Version int

	// SQL contains the statements of the step, which must run in one
	// transaction.
	SQL string
}

// Migrations returns the steps that create the tables in this schema with this
// prefix, for a migration tool. Each step records its version, so that Open and
// Migrate know which steps were run. The arguments have the limits and the
// defaults of [Options]. But with an empty schema, the names are unqualified,
// and the search path of the tool applies.
func Migrations(schema, tablePrefix string) ([]Migration, error) {
	if err := checkNames(schema, tablePrefix); err != nil {
		return nil, openError(err)
	}
	n := newNames(schema, tablePrefix)
	if schema == "" {
		bare := func(name string) string { return pgx.Identifier{n.prefix + name}.Sanitize() }
		n.entries, n.versions = bare("entries"), bare("versions")
	}
	var all []Migration
	for i := range migrations {
		all = append(all, Migration{Version: i + 1, SQL: n.step(i + 1)})
	}
	return all, nil
}

// step returns the SQL that leads from the previous version to this one.
func (n names) step(version int) string {
	sql := strings.TrimSpace(n.in(migrations[version-1]))
	return fmt.Sprintf("%s\nINSERT INTO %s (version) VALUES (%d);\n", sql, n.versions, version)
}

// Migrate creates or upgrades the store's tables in one transaction. Migrate
// changes nothing if the tables already belong to this release. If the schema
// in Options.Schema does not exist, Migrate creates it. The role needs CREATE
// on the schema. To create the schema, the role needs CREATE on the database.
// Several processes may call Migrate at the same time. Migrate returns
// ErrSchema for tables of a newer release.
func Migrate(ctx context.Context, o Options) error {
	if err := o.validate(); err != nil {
		return openError(err)
	}
	pool, done, err := o.pool(ctx)
	if err != nil {
		return openError(err)
	}
	defer done()
	return openError(pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return o.migrate(ctx, tx) }))
}

// migrating is the key of the advisory lock that migrations hold. The key is
// the same for all schemas, because migrations are rare and short.
const migrating = 7811887265893

func (o Options) migrate(ctx context.Context, tx pgx.Tx) error {
	// The simple protocol prepares no statement, which a pooler in transaction
	// mode could pass to another session. The simple protocol also accepts
	// several statements at once.
	exec := func(sql string) error {
		_, err := tx.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
		return err
	}
	if err := exec(fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", migrating)); err != nil {
		return err
	}
	schema := o.Schema
	if schema == "" {
		var err error
		if schema, err = currentSchema(ctx, tx); err != nil {
			return err
		}
	}
	n := newNames(schema, o.TablePrefix)
	// CREATE … IF NOT EXISTS needs the right to create even if nothing is
	// missing, so Migrate checks first.
	var exists bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`, pgx.QueryExecModeExec, schema).Scan(&exists)
	if err != nil {
		return err
	}
	if !exists {
		if err := exec(n.in("CREATE SCHEMA {schema}")); err != nil {
			return err
		}
	}
	version, err := n.version(ctx, tx)
	if err != nil {
		return err
	}
	if version > len(migrations) {
		return n.newer(version)
	}
	for version < len(migrations) {
		version++
		if err := exec(n.step(version)); err != nil {
			return fmt.Errorf("the step to version %d: %w", version, err)
		}
	}
	return nil
}

// rowQuerier is a connection, a pool or a transaction.
type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func currentSchema(ctx context.Context, q rowQuerier) (string, error) {
	var schema *string
	if err := q.QueryRow(ctx, `SELECT pg_catalog.current_schema()::text`, pgx.QueryExecModeExec).Scan(&schema); err != nil {
		return "", err
	}
	if schema == nil {
		return "", fmt.Errorf("%w: no schema of the search path exists: set Options.Schema", ErrSchema)
	}
	return *schema, nil
}

// version returns the version of the tables, or 0 if there are none.
func (n names) version(ctx context.Context, q rowQuerier) (version int, err error) {
	var exists bool
	if err := q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
		JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace WHERE s.nspname = $1 AND c.relname = $2)`,
		pgx.QueryExecModeExec, n.schema, n.prefix+"versions").Scan(&exists); err != nil || !exists {
		return 0, err
	}
	err = q.QueryRow(ctx, n.in(`SELECT coalesce(max(version), 0) FROM {versions}`), pgx.QueryExecModeExec).Scan(&version)
	return version, err
}

// check returns ErrSchema unless the tables belong to this release.
func (n names) check(ctx context.Context, q rowQuerier) error {
	version, err := n.version(ctx, q)
	switch {
	case err != nil:
		return err
	case version > len(migrations):
		return n.newer(version)
	case version == 0:
		return fmt.Errorf("%w: schema %q has no tables with the prefix %q: call postgres.Migrate, or run the SQL of postgres.Migrations, with a role that may create them", ErrSchema, n.schema, n.prefix)
	case version < len(migrations):
		return fmt.Errorf("%w: the tables with the prefix %q in schema %q have version %d, this release needs %d: call postgres.Migrate, or run the SQL of postgres.Migrations", ErrSchema, n.prefix, n.schema, version, len(migrations))
	}
	return nil
}

func (n names) newer(version int) error {
	return fmt.Errorf("%w: the tables with the prefix %q in schema %q have version %d, this release knows up to %d: use a newer release", ErrSchema, n.prefix, n.schema, version, len(migrations))
}
