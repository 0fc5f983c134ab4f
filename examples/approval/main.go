// Command approval is an example of Latchkey: people decide on expenses.
//
//	go -C examples run ./approval          # a site to sign in to and decide on
//	go -C examples run ./approval -auto    # answers by itself and prints what happens
//
// A manager decides on an expense. Above €1,000, two people of finance decide.
// The person who filed an expense never decides. The program starts a worker, a
// web site and a Temporal server, or uses a running server: see the flag
// -server. The program keeps its data in files. You can end it in any way and
// start it again; the same expenses then wait under the same links.
//
// Read next: workflow.go has the activity that waits for people, rules.go says
// who decides, and serve.go connects the parts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/latchkey-go/latchkey/examples/internal/devserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "approval:", err)
		os.Exit(1)
	}
}

// run runs the program. run returns nil when the context ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if s.data == "" {
		// The expenses of -auto are not needed after the run.
		if s.data, err = os.MkdirTemp("", "latchkey-approval-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(s.data)) }()
	}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return fmt.Errorf("-data: %w", err)
	}
	if s.data, err = filepath.Abs(s.data); err != nil {
		return fmt.Errorf("-data: %w", err)
	}
	return serve(ctx, s, stdout, stderr)
}

// settings are the settings of the command line.
type settings struct {
	auto    bool
	verbose bool
	addr    string
	data    string // "" means a temporary directory
	store   string // "" means a bolt file in data
	server  string // see devserver.Options
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("approval", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&s.auto, "auto", false, "answer by itself, print each step, and end; the exit code is 0 if each step had its outcome")
	flags.BoolVar(&s.verbose, "v", false, "show what the Temporal SDK, the Temporal server and Latchkey log")
	flags.StringVar(&s.addr, "addr", "127.0.0.1:0", "`address` of the site, on this machine only; port 0 takes the port of the last run if it is free")
	flags.StringVar(&s.data, "data", "", "`directory` of the server's database, the bolt file and the key of links (default latchkey-approval in the user's cache directory; with -auto a temporary one)")
	flags.StringVar(&s.store, "store", "", "`URL` of the store: bolt:///path/to/file, or memory:, which also keeps the server's data in memory (default a bolt file in -data)")
	flags.StringVar(&s.server, "server", "", devserver.ServerUsage)
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("%q: there are no arguments, only flags; see -h", flags.Arg(0))
	}
	if !isLoopback(s.addr) {
		return s, fmt.Errorf("-addr %s: the sign-in is a stub, so the site must be for this machine only: use 127.0.0.1, [::1] or localhost", s.addr)
	}
	if s.data == "" && !s.auto {
		caches, err := os.UserCacheDir()
		if err != nil {
			return s, fmt.Errorf("no directory of the user's own, give one with -data: %w", err)
		}
		s.data = filepath.Join(caches, "latchkey-approval")
	}
	return s, nil
}

// storeURL returns the URL of the store.
func (s settings) storeURL() string {
	if s.store != "" {
		return s.store
	}
	return (&url.URL{Scheme: "bolt", Path: filepath.ToSlash(filepath.Join(s.data, "latchkey.db"))}).String()
}

// database returns the server's file. If the store is in memory, the server's
// data is in memory too. Otherwise workflows would wait for answers that cannot
// come.
func (s settings) database() string {
	if s.store == "memory:" {
		return ""
	}
	return filepath.Join(s.data, "temporal.db")
}

// isLoopback reports whether a host, with or without a port, is this machine.
func isLoopback(hostPort string) bool {
	host := (&url.URL{Host: hostPort}).Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
