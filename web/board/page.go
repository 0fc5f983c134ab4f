package board

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

//go:embed templates/*.html
var files embed.FS

//go:embed templates/style.css
var style []byte

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"time":   htmlTime,
	"ago":    func(t *time.Time) string { return sinceText(t) },
	"pretty": pretty,
	"words":  words,
	"has":    has,
	"title":  func(verb string) string { return titles[verb] },
}).ParseFS(files, "templates/*.html"))

// page contains the data of every page.
type page struct {
	Title   string
	Nav     string // the address of the list, or "entry", "counts", "results", "problem"
	Root    string // relative path to the board's address
	By      string
	Refresh int // seconds; zero: never
	Now     time.Time
	Tabs    []tab
}

type tab struct{ Address, Title string }

var tabs = []tab{{"", "Needs attention"}, {"waiting", "Waiting"}, {"settled", "Settled"}, {"ended", "Ended"}, {"all", "All"}, {"counts", "Counts"}}

func (x *exchange) page(title, nav string) page {
	root := x.root
	if root == "" {
		root = "./"
	}
	return page{Title: title, Nav: nav, Root: root, By: x.by, Now: time.Now().UTC(), Tabs: tabs}
}

type listPage struct {
	page
	List                          list
	View                          listView
	Filter                        filter
	Ticks                         bool // rows can be selected
	NextLink, WatchLink, StopLink string
}

// Narrow reports whether the filter selects only some entries of the list.
func (p listPage) Narrow() bool { return p.Filter.narrow() }

// Watch reports whether the page refreshes itself.
func (p listPage) Watch() bool { return p.Filter.watch }

// Labels returns the label parameters, for the form.
func (p listPage) Labels() []string { return p.Filter.labels }

// Value returns a parameter, for the form.
func (p listPage) Value(name string) string { return p.Filter.values.Get(name) }

// States reports whether the list has entries in several states.
func (p listPage) States() bool { return p.List.state == 0 }

// StateNames returns the values of the parameter state.
func (p listPage) StateNames() []string { return []string{"waiting", "settled", "ended"} }

// About describes the list.
func (p listPage) About() string { return p.List.about }

type entryPage struct {
	page
	Entry   entryView
	Typed   url.Values // the typed text of a refused form
	Verb    string     // of that form
	Problem *problem
}

// Was returns the text that was typed in a field of the form of a verb.
func (p entryPage) Was(verb, field string) string {
	if verb != p.Verb {
		return ""
	}
	return p.Typed.Get(field)
}

// Facts returns the rows of the table, without empty ones.
func (p entryPage) Facts() []fact {
	e := p.Entry
	list := []fact{
		{"Namespace", e.Namespace, nil},
		{"Workflow", e.WorkflowID, nil},
		{"Workflow type", e.WorkflowType, nil},
		{"Run", e.RunID, nil},
		{"Activity type", e.ActivityType, nil},
		{"Activity", e.ActivityID, nil},
		{"Activity run", e.ActivityRunID, nil},
		{"Task queue", e.TaskQueue, nil},
		{"Attempt", number(int(e.Attempt)), nil},
		{"Result type", e.ResultType, nil},
		{"Business key", e.Key, nil},
		{"Reference", e.Reference, nil},
		{"Signals", strings.Join(e.Signals, ", "), nil},
		{"Outcome", e.Outcome, nil},
		{"Tries to deliver", number(e.Deliveries), nil},
		{"Last error", e.LastError, nil},
		{"Pump", e.Pump, nil},
		{"Heartbeat timeout", e.HeartbeatTimeout, nil},
		{"Failed heartbeats", number(e.HeartbeatTries), nil},
		{"Hooks to call", strings.Join(e.Hooks, ", "), nil},
		{"Failed calls of hooks", number(e.HookTries), nil},
	}
	return filled(list)
}

// Times returns the times of the entry.
func (p entryPage) Times() []fact {
	e := p.Entry
	return filled([]fact{
		{"Scheduled", "", e.Scheduled},
		{"Created", "", e.Created},
		{"Attempt started", "", e.Started},
		{"Attempt's deadline", "", e.Deadline},
		{"Last heartbeat", "", e.LastBeat},
		{"Next heartbeat", "", e.NextBeat},
		{"Settled", "", e.Settled},
		{"Next try to deliver", "", e.NextDelivery},
		{"Next call of a hook", "", e.NextHook},
		{"Needs a hub since", "", e.Late},
		{"Ended", "", e.Ended},
		{"Next check by a hub", "", e.Due},
	})
}

type fact struct {
	Name, Value string
	Time        *time.Time
}

func filled(list []fact) (kept []fact) {
	for _, f := range list {
		if f.Value != "" || f.Time != nil {
			kept = append(kept, f)
		}
	}
	return kept
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

type countsPage struct {
	page
	View countsView
}

type resultsPage struct {
	page
	Lines []line
}

type problemPage struct {
	page
	Problem problem
}

// render writes a page. The template writes to memory first, so that no partial
// page is sent.
func (x *exchange) render(status int, name string, data any) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, data); err != nil {
		x.reply(http.StatusInternalServerError, "text/plain; charset=utf-8", []byte(errTemplate.Error()+"\n"))
		return
	}
	x.reply(status, "text/html; charset=utf-8", body.Bytes())
}

// words returns a name with places where a narrow page may break it: between
// the words of CamelCase, and after punctuation. Browsers break the text
// elsewhere only if a part does not fit.
func words(name string) template.HTML {
	var b strings.Builder
	last := rune(0)
	for _, r := range name {
		if unicode.IsUpper(r) && (unicode.IsLower(last) || unicode.IsDigit(last)) || strings.ContainsRune("._/:@", last) {
			b.WriteString("<wbr>")
		}
		b.WriteString(template.HTMLEscapeString(string(r)))
		last = r
	}
	return template.HTML(b.String()) // #nosec G203: each rune is escaped
}

// htmlTime returns an element with a time and its distance from now.
func htmlTime(t *time.Time) template.HTML {
	if t == nil {
		return ""
	}
	u := t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time> <span class="quiet">%s</span>`, // #nosec G203: times only
		u.Format(time.RFC3339Nano), u.Format("2006-01-02 15:04:05Z"), sinceText(t)))
}

func sinceText(t *time.Time) string {
	if t == nil {
		return ""
	}
	return ago(*t, time.Now())
}

func has(list []string, value string) bool {
	return slices.Contains(list, value)
}

// pretty indents JSON.
func pretty(raw json.RawMessage) string {
	var out bytes.Buffer
	if json.Indent(&out, raw, "", "  ") != nil {
		return ""
	}
	return out.String()
}
