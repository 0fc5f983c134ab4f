package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Exit codes.
const (
	exitDone        = 0
	exitUnavailable = 1
	exitUsage       = 2
	exitForbidden   = 3
	exitNotFound    = 4
	exitRefused     = 5
)

// command is a command of the program.
type command struct {
	name, args, about string
	flags             func(f *flag.FlagSet, c *call)
	run               func(ctx context.Context, c *call) error
	counts            func(n int) bool // of arguments
}

// call is a command with its flags and arguments.
type call struct {
	world
	settings settings
	args     []string

	why, round, file, message, kind string
	after, age, class, state        string
	typ, namespace, workflow, key   string
	result                          string
	labels                          list
	limit                           int
	all, quiet                      bool
	interval                        string
	polls                           int
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, ", ") }

func (l *list) Set(v string) error {
	*l = append(*l, v)
	return nil
}

// usageError is an invalid command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// commands returns the commands of the program.
func commands() []command {
	return []command{
		{"list", "[attention|waiting|settled|ended|all]", "list entries; attention unless another list is named", listFlags, runList, atMost(1)},
		{"show", "ID", "show one entry, with its journal and how its end is known", nil, runShow, exactly(1)},
		{"stats", "", "count entries by state, activity type and class", nil, runStats, exactly(0)},
		{"tail", "[attention|waiting|settled|ended|all]", "print what changes in a list, until interrupted", tailFlags, runTail, atMost(1)},
		{"retry", "ID...|-", "make hubs retry at once", whyFlags, runBulk, atLeast(1)},
		{"abandon", "ID...|-", "end entries; nothing is delivered to Temporal", whyFlags, runBulk, atLeast(1)},
		{"complete", "ID", "complete an activity with a result, which is JSON", completeFlags, runComplete, exactly(1)},
		{"fail", "ID", "fail the attempt; Temporal retries the activity", failFlags, runFail, exactly(1)},
		{"reject", "ID", "fail the activity, without retries", failFlags, runFail, exactly(1)},
		{"completion", "bash|zsh|fish", "print a completion script for a shell", nil, runCompletion, exactly(1)},
	}
}

func exactly(want int) func(int) bool { return func(n int) bool { return n == want } }
func atMost(most int) func(int) bool  { return func(n int) bool { return n <= most } }
func atLeast(min int) func(int) bool  { return func(n int) bool { return n >= min } }

func whyFlags(f *flag.FlagSet, c *call) {
	f.StringVar(&c.why, "why", "", "the `reason`, which the journal keeps (required)")
}

func completeFlags(f *flag.FlagSet, c *call) {
	whyFlags(f, c)
	f.StringVar(&c.file, "f", "", "the `file` with the result, or - for standard input (required)")
	f.StringVar(&c.round, "round", "", "the `round` that show printed; if the entry has another round now, nothing is done")
}

func failFlags(f *flag.FlagSet, c *call) {
	whyFlags(f, c)
	f.StringVar(&c.message, "message", "", "what went wrong, for the `workflow` (required)")
	f.StringVar(&c.kind, "type", "", "the `type` of Temporal's application failure")
	f.StringVar(&c.round, "round", "", "the `round` that show printed; if the entry has another round now, nothing is done")
}

func filterFlags(f *flag.FlagSet, c *call) {
	f.StringVar(&c.typ, "type", "", "only this activity `type`")
	f.StringVar(&c.namespace, "namespace", "", "only this `namespace`")
	f.StringVar(&c.workflow, "workflow", "", "only this workflow `ID`")
	f.StringVar(&c.result, "result", "", "only this result `type`")
	f.StringVar(&c.key, "key", "", "only this business `key`")
	f.StringVar(&c.class, "class", "", "only this `class` of trouble, such as refused")
	f.StringVar(&c.age, "age", "", "only in their state for at least this `duration`: 90s, 10m, 2h, 3d")
	f.StringVar(&c.state, "state", "", "only this `state`: waiting, settled or ended")
	f.Var(&c.labels, "label", "only with this label, as `name=value`; may be repeated")
}

func listFlags(f *flag.FlagSet, c *call) {
	filterFlags(f, c)
	f.IntVar(&c.limit, "limit", 0, "entries on a page, 1 to 500 (default 50)")
	f.StringVar(&c.after, "after", "", "continue after this `ID`, which list printed for the page before")
	f.BoolVar(&c.all, "all", false, "all pages")
	f.BoolVar(&c.quiet, "q", false, "print IDs only, for retry - and abandon -")
}

func tailFlags(f *flag.FlagSet, c *call) {
	filterFlags(f, c)
	f.StringVar(&c.interval, "interval", "5s", "the `time` between two polls of the list, at least 1s")
	f.IntVar(&c.polls, "polls", 0, "end after this `number` of polls (default: never)")
}

// run runs the program. run returns the exit code.
func run(ctx context.Context, args []string, w world) int {
	err := execute(ctx, args, w)
	var asked *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &asked):
		_, _ = fmt.Fprintf(w.err, "latchkey: %s\nRun \"latchkey help\" for usage.\n", asked.text)
		return exitUsage
	}
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintf(w.err, "latchkey: %s\n", clean(text))
	}
	return codeOf(err)
}

func execute(ctx context.Context, args []string, w world) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		out := w.out
		if len(args) == 0 {
			out = w.err
		}
		help(out)
		if len(args) == 0 {
			return usage("a command is missing")
		}
		return nil
	}
	n := slices.IndexFunc(commands(), func(c command) bool { return c.name == args[0] })
	if n < 0 {
		return usage("there is no command %q", clean(args[0]))
	}
	cmd := commands()[n]
	c := &call{world: w}
	f := flag.NewFlagSet("latchkey "+cmd.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	c.settings.flags(f)
	if cmd.flags != nil {
		cmd.flags(f, c)
	}
	// Flags may come before and after the arguments.
	for rest := args[1:]; ; {
		if err := f.Parse(rest); errors.Is(err, flag.ErrHelp) {
			helpOf(w.out, cmd, f)
			return nil
		} else if err != nil {
			return usage("%s: %s", cmd.name, clean(err.Error()))
		}
		rest = f.Args()
		if len(rest) == 0 {
			break
		}
		if dashes := len(args) - len(rest) - 1; dashes >= 0 && args[dashes] == "--" {
			c.args = append(c.args, rest...)
			break
		}
		c.args = append(c.args, rest[0])
		rest = rest[1:]
	}
	if !cmd.counts(len(c.args)) {
		return usage("%s takes the arguments: %s, got %d", cmd.name, cmp(cmd.args, "none"), len(c.args))
	}
	if cmd.name != "completion" {
		if err := c.settings.complete(f, w.env); err != nil {
			return err
		}
	}
	c.args = append([]string{cmd.name}, c.args...)
	return cmd.run(ctx, c)
}

func cmp(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func help(w io.Writer) {
	_, _ = fmt.Fprint(w, "latchkey lists the entries of a Latchkey board, and acts on them.\n\nUsage: latchkey COMMAND [FLAGS] [ARGUMENTS]\n\n")
	for _, c := range commands() {
		_, _ = fmt.Fprintf(w, "  %-10s %s\n", c.name, c.about)
	}
	_, _ = fmt.Fprint(w, `
"latchkey COMMAND -h" lists the flags of a command. Flags of all commands:

  -url URL           the address of the board            LATCHKEY_URL
  -token-file FILE   a file with the bearer token        LATCHKEY_TOKEN_FILE
  -o table|json      the format of the output            LATCHKEY_OUTPUT
  -timeout TIME      of a request, 30s by default        LATCHKEY_TIMEOUT
  -config FILE       a file of lines "name = value"      LATCHKEY_CONFIG

A flag overrides the environment, and the environment overrides the file. The
token can also be in LATCHKEY_TOKEN, or in the file as "token".

Exit codes: 0 done, 1 unavailable or unknown (repeat it), 2 wrong use, 3 not
allowed, 4 no such entry, 5 refused.
`)
}

func helpOf(w io.Writer, c command, f *flag.FlagSet) {
	_, _ = fmt.Fprintf(w, "latchkey %s: %s.\n\nUsage: latchkey %s [FLAGS] %s\n\n", c.name, c.about, c.name, c.args)
	f.SetOutput(w)
	f.PrintDefaults()
}
