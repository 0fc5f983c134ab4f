package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/store/postgres"
)

// This is the application of docs/guide.md that answers in its own transaction.

// Decision is the answer to an expense.
type Decision struct {
	Approved bool
	By       string
}

// ResultType returns a permanent name for the type.
func (Decision) ResultType() string { return "expenses.Decision" }

type Expenses struct {
	DB    *pgxpool.Pool
	Store *postgres.Store
	Hub   *async.Hub
}

// Decide writes the application's row and the answer in one transaction.
func (x *Expenses) Decide(ctx context.Context, expense int, id string, d Decision) error {
	return pgx.BeginFunc(ctx, x.DB, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO decisions VALUES ($1, $2)`, expense, d.By); err != nil {
			return err
		}
		p, err := async.Open[Decision](ctx, x.Hub.With(x.Store.Tx(tx)), id)
		if err != nil {
			return err
		}
		return p.Complete(ctx, d)
	})
}

// DecideSQL is Decide for an application that uses database/sql.
func DecideSQL(ctx context.Context, db *sql.DB, s *postgres.Store, hub *async.Hub, expense int, id string, d Decision) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `INSERT INTO decisions VALUES ($1, $2)`, expense, d.By); err != nil {
		return err
	}
	p, err := async.Open[Decision](ctx, hub.With(s.SQLTx(tx)), id)
	if err != nil {
		return err
	}
	if err := p.Complete(ctx, d); err != nil {
		return err
	}
	return tx.Commit()
}

// office is a store with a hub, and a table of the application in the same
// schema.
type office struct {
	handle
	hub      *async.Hub
	temporal *asynctest.Completer
}

func newOffice(t testing.TB, p place, change ...func(*pgxpool.Config)) office {
	t.Helper()
	exec(t, "CREATE TABLE IF NOT EXISTS "+p.schema+".decisions (expense integer PRIMARY KEY, approved_by text NOT NULL)")
	change = append(change, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["search_path"] = p.schema })
	return officeOn(t, open(t, p, change...))
}

// officeOn returns an office on a store, without the application's table.
func officeOn(t testing.TB, s handle) office {
	t.Helper()
	o := office{handle: s, temporal: new(asynctest.Completer)}
	var err error
	if o.hub, err = async.New(async.Options{Store: o.Store, Completer: o.temporal}); err != nil {
		t.Fatal(err)
	}
	return o
}

// ask starts an activity for an expense, and returns the callback ID.
func (o office) ask(t testing.TB, env *testsuite.TestActivityEnvironment, expense int) (id string) {
	t.Helper()
	approve := func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, o.hub, async.StartOptions{Key: fmt.Sprint("expense-", expense)}, func(_ context.Context, p async.Pending[Decision]) error {
			id = p.ID()
			return nil
		})
	}
	env.RegisterActivityWithOptions(approve, activity.RegisterOptions{Name: fmt.Sprint("Approve-", expense)})
	if _, err := env.ExecuteActivity(fmt.Sprint("Approve-", expense)); err != activity.ErrResultPending {
		t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}
	return id
}

// state returns the state of a callback, as another caller sees it.
func (o office) state(t testing.TB, id string) async.State {
	t.Helper()
	p, err := async.Open[Decision](t.Context(), o.hub, id)
	if err != nil {
		t.Fatal(err)
	}
	return p.Info().State
}

func newEnvironment() *testsuite.TestActivityEnvironment {
	var suite testsuite.WorkflowTestSuite
	return suite.NewTestActivityEnvironment()
}

// TestAnswerInTheApplicationsTransaction answers and inserts a row of the
// application. If the row already exists, the answer is rolled back too;
// otherwise both the row and the answer are there. Nothing is sent before the
// commit.
func TestAnswerInTheApplicationsTransaction(t *testing.T) {
	t.Parallel()
	o := newOffice(t, newPlace(t))
	env := newEnvironment()
	db := database(t, o.handle)
	decide := map[string]func(expense int, id string) error{
		"pgx": func(expense int, id string) error {
			x := &Expenses{DB: o.pool, Store: o.Store, Hub: o.hub}
			return x.Decide(t.Context(), expense, id, Decision{Approved: true, By: "Ann"})
		},
		"database/sql": func(expense int, id string) error {
			return DecideSQL(t.Context(), db, o.Store, o.hub, expense, id, Decision{Approved: true, By: "Ann"})
		},
	}
	expense := 0
	for name, decide := range decide {
		expense++
		id := o.ask(t, env, expense)
		state := func() async.State { return o.state(t, id) }
		x := &Expenses{DB: o.pool, Store: o.Store, Hub: o.hub}
		if err := rolledBack(t.Context(), x, expense, id, Decision{By: "Ann"}); err != nil {
			t.Errorf("%s, with a roll-back after Complete: got %v, want nil", name, err)
		}
		if got := state(); got != async.Waiting {
			t.Errorf("%s, after the roll-back: the entry is %v, want waiting", name, got)
		}
		exec(t, fmt.Sprintf("INSERT INTO %s.decisions VALUES (%d, 'Bob')", o.place.schema, expense))
		if err := decide(expense, id); sqlCode(err) != "23505" {
			t.Errorf("%s, with a row that is there: got %v, want a unique violation", name, err)
		}
		if got := state(); got != async.Waiting {
			t.Errorf("%s, after the roll-back: the entry is %v, want waiting", name, got)
		}
		exec(t, fmt.Sprintf("DELETE FROM %s.decisions WHERE expense = %d", o.place.schema, expense))
		sent := len(o.temporal.Completed())
		if err := decide(expense, id); err != nil {
			t.Errorf("%s: got %v, want nil", name, err)
		}
		if got := state(); got != async.Settled || len(o.temporal.Completed()) != sent {
			t.Errorf("%s, after the commit: the entry is %v and %d answers were sent, want settled and none", name, got, len(o.temporal.Completed())-sent)
		}
		if _, err := o.hub.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := state(); got != async.Closed {
			t.Errorf("%s, after Work: the entry is %v, want closed", name, got)
		}
	}
}

func sqlCode(err error) string {
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return e.SQLState()
	}
	return ""
}

// TestGuide compares docs/guide.md with this code.
func TestGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("expense_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(guide), "## Your row and the answer in one transaction\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, snippet, ok := strings.Cut(section, "```go\n")
	snippet, _, _ = strings.Cut(snippet, "```")
	if !found || !ok || !strings.Contains(string(code), snippet) {
		t.Errorf("docs/guide.md: the section on transactions has code that isn't in expense_test.go:\n%s", snippet)
	}
}
