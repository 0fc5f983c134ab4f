package postgres_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/postgres"
)

// TestMigratesAtOnce makes several processes create the schema and the tables
// at the same time, and again afterwards.
func TestMigratesAtOnce(t *testing.T) {
	t.Parallel()
	o := postgres.Options{Pool: adminPool(t), Schema: newSchema()}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2 {
				if err := postgres.Migrate(t.Context(), o); err != nil {
					t.Errorf("Migrate while others migrate: got %v, want nil", err)
				}
			}
		})
	}
	wg.Wait()
	s, err := postgres.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, store.Entry{ID: "entry"})
}

// TestMigratesBehindPgBouncer makes several processes create the schema and the
// tables through PgBouncer in transaction mode, at the same time.
func TestMigratesBehindPgBouncer(t *testing.T) {
	t.Parallel()
	o := postgres.Options{URL: server.Server(t).Bouncer(t).URL(""), Schema: newSchema()}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := postgres.Migrate(t.Context(), o); err != nil {
				t.Errorf("Migrate behind PgBouncer: got %v, want nil", err)
			}
		})
	}
	wg.Wait()
	s, err := postgres.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, store.Entry{ID: "entry"})
}

// TestMigrationsAsSQL creates the tables with the printed SQL, as a migration
// tool does: in a schema that the SQL names, and in the tool's search path.
func TestMigrationsAsSQL(t *testing.T) {
	t.Parallel()
	for name, qualified := range map[string]bool{"with a schema": true, "by search path": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := newSchema()
			exec(t, "CREATE SCHEMA "+schema)
			named := ""
			if qualified {
				named = schema
			}
			steps, err := postgres.Migrations(named, "app_")
			if err != nil || len(steps) == 0 {
				t.Fatalf("Migrations: got %d steps and %v, want some", len(steps), err)
			}
			conn := connect(t, place{direct: server.Server(t).URL("search_path=" + schema)})
			for i, step := range steps {
				if step.Version != i+1 {
					t.Errorf("Migrations: got version %d at place %d, want %d", step.Version, i, i+1)
				}
				if qualified != strings.Contains(step.SQL, schema) {
					t.Errorf("step %d: names the schema %t, want %t", step.Version, !qualified, qualified)
				}
				if _, err := conn.Exec(t.Context(), step.SQL); err != nil {
					t.Fatalf("step %d: %v", step.Version, err)
				}
			}
			o := postgres.Options{Pool: adminPool(t), Schema: schema, TablePrefix: "app_"}
			if err := postgres.Migrate(t.Context(), o); err != nil {
				t.Errorf("Migrate after the SQL: got %v, want nil", err)
			}
			s, err := postgres.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			put(t, s, store.Entry{ID: "entry"})
		})
	}
	if _, err := postgres.Migrations("a b", ""); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("Migrations of a schema with a blank: got %v, want ErrInvalid", err)
	}
}

// TestNewerTables: Open refuses tables that a newer release has created.
func TestNewerTables(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	exec(t, "INSERT INTO "+p.schema+".latchkey_versions (version) VALUES (1000)")
	o := postgres.Options{Pool: adminPool(t), Schema: p.schema}
	if _, err := postgres.Open(t.Context(), o); !errors.Is(err, postgres.ErrSchema) || !strings.Contains(err.Error(), "1000") {
		t.Errorf("Open of newer tables: got %v, want ErrSchema that names the version", err)
	}
	if err := postgres.Migrate(t.Context(), o); !errors.Is(err, postgres.ErrSchema) {
		t.Errorf("Migrate of newer tables: got %v, want ErrSchema", err)
	}
}

// TestRoles: a role that owns the schema migrates, and a role that may only use
// the tables opens the store. The second role never creates tables.
func TestRoles(t *testing.T) {
	t.Parallel()
	p := place{schema: newSchema()}
	role := "role_" + p.schema
	exec(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'secret'", role))
	exec(t, "CREATE SCHEMA "+p.schema)
	exec(t, fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", p.schema, role))
	u, err := url.Parse(server.Server(t).URL(""))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "secret")
	p.url = u.String()
	p.direct = p.url

	limited := postgres.Options{URL: p.url, Schema: p.schema}
	if _, err := postgres.Open(t.Context(), limited); !errors.Is(err, postgres.ErrSchema) || !strings.Contains(err.Error(), "postgres.Migrate") {
		t.Errorf("Open without tables: got %v, want ErrSchema that says what to do", err)
	}
	if err := postgres.Migrate(t.Context(), limited); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("Migrate by a role that may not: got %v, want that permission is denied", err)
	}
	if err := postgres.Migrate(t.Context(), postgres.Options{Pool: adminPool(t), Schema: p.schema}); err != nil {
		t.Fatal(err)
	}
	exec(t, fmt.Sprintf("GRANT SELECT ON %s.latchkey_versions TO %s", p.schema, role))
	exec(t, fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s", p.entries(), role))
	if err := postgres.Migrate(t.Context(), limited); err != nil {
		t.Errorf("Migrate with nothing to do: got %v, want nil", err)
	}
	s := open(t, p)
	e := put(t, s, store.Entry{ID: "entry", Due: at(1), Body: []byte("body")})
	claimed, err := s.Claim(t.Context(), at(1), at(2), 1)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim: got %d entries and %v, want one", len(claimed), err)
	}
	if err := s.Delete(t.Context(), e.ID, claimed[0].Version); err != nil {
		t.Errorf("Delete: got %v, want nil", err)
	}
}
