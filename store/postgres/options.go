package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/store"
)

// defaultPrefix is the default of Options.TablePrefix.
const defaultPrefix = "latchkey_"

// Options configures Open and Migrate.
type Options struct {
	// Pool is the connection pool that the store uses. Close of the store
	// leaves the pool open. Either Pool or URL is required.
	Pool *pgxpool.Pool

	// URL is the connection string of a pool that the store opens and closes,
	// with the parameters of pgxpool.ParseConfig. Either Pool or URL is
	// required.
	URL string

	// Schema is the schema that holds the store's tables: a lower-case
	// identifier of at most 63 letters, digits and underscores. Defaults to
	// the current schema of the connection, which is the first existing one of
	// its search path.
	Schema string

	// TablePrefix is the beginning of the names of the store's tables and
	// indexes: a lower-case identifier of at most 40 letters, digits and
	// underscores. Stores with different prefixes share a schema. Defaults to
	// "latchkey_".
	TablePrefix string
}

func (o Options) validate() error {
	switch {
	case o.Pool == nil && o.URL == "":
		return fmt.Errorf("%w: Options.Pool or Options.URL is required", store.ErrInvalid)
	case o.Pool != nil && o.URL != "":
		return fmt.Errorf("%w: Options.Pool and Options.URL exclude each other, got both", store.ErrInvalid)
	}
	return checkNames(o.Schema, o.TablePrefix)
}

func checkNames(schema, prefix string) error {
	if err := checkName("Schema", schema, maxSchema); err != nil {
		return err
	}
	return checkName("TablePrefix", prefix, maxPrefix)
}

const (
	maxSchema = 63 // PostgreSQL cuts longer identifiers
	maxPrefix = 40 // with this limit, the names of all tables and indexes fit
)

// checkName refuses identifiers that are legal only in quotes, because they are
// easily mistyped at a prompt.
func checkName(option, name string, most int) error {
	if len(name) > most {
		return fmt.Errorf("%w: Options.%s must have at most %d characters, got %d", store.ErrInvalid, option, most, len(name))
	}
	for i, c := range name {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9' || i == 0) {
			return fmt.Errorf("%w: Options.%s must consist of a-z, 0-9 and _ and not begin with a digit, got %q", store.ErrInvalid, option, name)
		}
	}
	return nil
}

// names contains the quoted names of a store's tables and indexes.
type names struct {
	schema   string // in clear
	prefix   string // in clear
	entries  string
	due      string // the index of due times; without a schema, as CREATE INDEX requires
	versions string
}

func newNames(schema, prefix string) names {
	if prefix == "" {
		prefix = defaultPrefix
	}
	table := func(name string) string { return pgx.Identifier{schema, prefix + name}.Sanitize() }
	return names{
		schema: schema, prefix: prefix,
		entries: table("entries"), due: pgx.Identifier{prefix + "entries_due"}.Sanitize(), versions: table("versions"),
	}
}

// in returns a statement in which the names replace the placeholders.
func (n names) in(sql string) string {
	return strings.NewReplacer("{schema}", pgx.Identifier{n.schema}.Sanitize(),
		"{entries}", n.entries, "{due}", n.due, "{versions}", n.versions).Replace(sql)
}

// openError wraps an error of Open or Migrate.
func openError(err error) error { return store.Wrap("open", backend, "", err) }
