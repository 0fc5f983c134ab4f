package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.temporal.io/sdk/converter"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store/postgres"
)

// answersVariable turns the test's program into a child that answers expenses
// in transactions. The variable contains the URL of the store.
const answersVariable = "LATCHKEY_POSTGRES_ANSWERS"

// schemaVariable contains the child's schema.
const schemaVariable = "LATCHKEY_POSTGRES_SCHEMA"

// answerForEver answers all expenses in random order, from several callers, and
// prints a line for each transaction. Transactions whose number is divisible by
// three are rolled back.
func answerForEver(url, schema string) error {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	s, err := postgres.Open(ctx, postgres.Options{Pool: pool, Schema: schema})
	if err != nil {
		return err
	}
	hub, err := async.New(async.Options{Store: s, Completer: new(asynctest.Completer)})
	if err != nil {
		return err
	}
	rows, err := pool.Query(ctx, "SELECT expense, callback FROM expenses ORDER BY random()")
	if err != nil {
		return err
	}
	type asked struct {
		expense int
		id      string
	}
	var todo []asked
	for rows.Next() {
		var a asked
		if err := rows.Scan(&a.expense, &a.id); err != nil {
			return err
		}
		todo = append(todo, a)
	}
	x, db := &Expenses{DB: pool, Store: s, Hub: hub}, stdlib.OpenDBFromPool(pool)
	const callers = 4
	work, errs := make(chan asked), make(chan error, callers)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for a := range work {
				d := Decision{Approved: true, By: fmt.Sprintf("%d by %d", a.expense, rand.Uint64())}
				var err error
				switch {
				case a.expense%3 == 0:
					err = rolledBack(ctx, x, a.expense, a.id, d)
				case caller%2 == 0:
					err = x.Decide(ctx, a.expense, a.id, d)
				default:
					err = DecideSQL(ctx, db, s, hub, a.expense, a.id, d)
				}
				// The expense may already have its row or its answer. Row and
				// answer are written together, so either one ends the
				// transaction.
				if err != nil && sqlCode(err) != "23505" && !errors.Is(err, async.ErrSettled) {
					errs <- err
					return
				}
				fmt.Println("through", a.expense)
			}
		})
	}
	for _, a := range todo {
		select {
		case work <- a:
		case err := <-errs:
			return err
		}
	}
	close(work)
	wg.Wait()
	fmt.Println("all", 0)
	select {} // blocks until the process is killed
}

// rolledBack does the same as Decide, and then rolls back.
func rolledBack(ctx context.Context, x *Expenses, expense int, id string, d Decision) error {
	tx, err := x.DB.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, `INSERT INTO decisions VALUES ($1, $2)`, expense, d.By); err != nil {
		return err
	}
	p, err := async.Open[Decision](ctx, x.Hub.With(x.Store.Tx(tx)), id)
	if err != nil {
		return err
	}
	return p.Complete(ctx, d)
}

// TestRowAndAnswerAgree makes processes answer expenses in transactions with a
// row each, while a hub delivers. A third of the transactions are rolled back,
// and the processes are killed at random. Each answer is delivered once, and
// only when its row is there. In the end, each expense has either a row and an
// equal answer, or neither.
func TestRowAndAnswerAgree(t *testing.T) {
	t.Parallel()
	expenses, kills := 1000, 6
	if os.Getenv("LATCHKEY_SOAK") == "1" {
		expenses, kills = 5000, 40
	}
	o := newOffice(t, newPlace(t))
	exec(t, "CREATE TABLE "+o.place.schema+".expenses (expense integer PRIMARY KEY, callback text NOT NULL)")
	asked := make([][]any, expenses)
	var asking sync.WaitGroup
	const asks = 16 // concurrent callers, because the server groups commits
	for first := range asks {
		asking.Go(func() {
			env := newEnvironment()
			for expense := first; expense < expenses; expense += asks {
				asked[expense] = []any{expense, o.ask(t, env, expense)}
			}
		})
	}
	asking.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if _, err := o.pool.CopyFrom(t.Context(), pgx.Identifier{"expenses"}, []string{"expense", "callback"}, pgx.CopyFromRows(asked)); err != nil {
		t.Fatal(err)
	}
	d := deliveries{t: t, o: o, answers: make(map[int]string)}
	o.temporal.CompleteFunc = d.complete
	ctx, stop := context.WithCancel(t.Context())
	var running, wg sync.WaitGroup
	running.Go(func() { _ = o.hub.Run(ctx) })
	for range 2 { // number of processes at a time
		wg.Go(func() {
			for n := range kills/2 + 1 {
				lines := 1 + rand.IntN(expenses/2)
				if last := n == kills/2; last {
					lines = expenses + 1
				}
				answerAndDie(t, o.place, lines)
			}
		})
	}
	wg.Wait()
	during := d.number()
	stop()
	running.Wait()
	if _, err := o.hub.Work(t.Context()); err != nil {
		t.Fatal(err)
	}

	rows := d.rows(t.Context())
	for expense := range expenses {
		row, answer := rows[expense], d.answers[expense]
		switch {
		case row != answer:
			t.Errorf("expense %d: the row says %q and the answer %q, want the same", expense, row, answer)
		case (row == "") != (expense%3 == 0):
			t.Errorf("expense %d: got the row %q, want one unless it was rolled back", expense, row)
		}
	}
	t.Logf("%d answers, %d of them delivered before the last kill", d.number(), during)
}

// deliveries are the delivered answers.
type deliveries struct {
	t       *testing.T
	o       office
	mu      sync.Mutex
	answers map[int]string // who decided, by expense
}

func (d *deliveries) complete(ctx context.Context, _ completer.Target, out completer.Outcome) error {
	var decision Decision
	if err := converter.GetDefaultDataConverter().FromPayloads(out.Result, &decision); err != nil {
		d.t.Errorf("an outcome was delivered that is no Decision: %v", err)
		return nil
	}
	var expense int
	_, err := fmt.Sscan(decision.By, &expense)
	d.mu.Lock()
	if err != nil || d.answers[expense] != "" {
		d.t.Errorf("delivered: got %q after %q, want each expense once", decision.By, d.answers[expense])
	}
	d.answers[expense] = decision.By
	d.mu.Unlock()
	row := ""
	err = d.o.pool.QueryRow(context.WithoutCancel(ctx), "SELECT approved_by FROM decisions WHERE expense = $1", expense).Scan(&row)
	if err != nil || row != decision.By {
		d.t.Errorf("delivered: got %q when the row says %q, %v, want the same", decision.By, row, err)
	}
	return nil
}

func (d *deliveries) number() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.answers)
}

// rows returns who decided according to the application's rows, by expense.
func (d *deliveries) rows(ctx context.Context) map[int]string {
	d.t.Helper()
	rows := make(map[int]string)
	found, err := d.o.pool.Query(ctx, "SELECT expense, approved_by FROM decisions")
	if err != nil {
		d.t.Fatal(err)
	}
	for found.Next() {
		var expense int
		var by string
		if err := found.Scan(&expense, &by); err != nil {
			d.t.Fatal(err)
		}
		rows[expense] = by
	}
	if err := found.Err(); err != nil {
		d.t.Fatal(err)
	}
	return rows
}

// answerAndDie runs a child, and kills it after it has printed the given number
// of lines, or its last line.
func answerAndDie(t *testing.T, p place, lines int) {
	exe, err := os.Executable()
	if err != nil {
		t.Error(err)
		return
	}
	cmd := osexec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), answersVariable+"="+p.url+"?search_path="+p.schema, schemaVariable+"="+p.schema)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	killed := false
	for scan := bufio.NewScanner(out); scan.Scan(); {
		if lines--; lines == 0 || scan.Text() == "all 0" {
			killed = true
			_ = cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); err == nil || !killed {
		t.Errorf("the child: got %v, want that it was killed", err)
	}
}
