// Package browser controls Chromium for tests, as people do: with a mouse and a
// keyboard, with and without JavaScript.
package browser

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// patience is the time limit of every wait, and only prevents hanging.
const patience = 5 * time.Minute

// Browser is a running Chromium.
type Browser struct {
	t    testing.TB
	ctx  context.Context
	pipe *pipe
}

// Start starts Chromium, which ends with the test. If Chromium is not
// installed, the test is skipped. If LATCHKEY_REQUIRE_SERVERS is 1, the test
// fails instead.
func Start(t testing.TB) *Browser {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
			t.Fatal("LATCHKEY_REQUIRE_SERVERS is 1, and chromium is not installed")
		}
		t.Skip("NOT TESTED: chromium is not installed (Debian: apt-get install chromium)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe", "--user-data-dir="+Profile(t))
	toBrowser, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, fromBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = toBrowser.Close(), fromBrowser.Close() // the browser has its own copies
	b := &Browser{t: t, ctx: ctx, pipe: newPipe(in)}
	listened := make(chan struct{})
	go func() {
		defer close(listened)
		b.pipe.listen(out)
	}()
	t.Cleanup(func() {
		closing, done := context.WithTimeout(ctx, 10*time.Second)
		_ = b.pipe.call(closing, "", "Browser.close", nil, nil) // killed otherwise
		done()
		_ = in.Close()
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			cancel()
			<-ended
		}
		cancel()
		<-listened
		_ = out.Close()
	})
	return b
}

// Profile returns a directory for the data of Chromium, which is removed at the
// end of the test. Processes of Chromium may write for a moment after the first
// one has ended, so Profile removes the directory until nothing is left.
func Profile(t testing.TB) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		deadline := time.Now().Add(patience)
		for err := os.RemoveAll(directory); err != nil; err = os.RemoveAll(directory) {
			if time.Now().After(deadline) {
				t.Errorf("the data of Chromium stays: %v", err)
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	return directory
}

// Window configures the window of a person.
type Window struct {
	Width, Height int
	Dark          bool // the person prefers dark pages
	NoScript      bool // pages run no JavaScript
}

// Tab is a browser window with cookies of its own. Only one goroutine may use a
// Tab.
type Tab struct {
	t       testing.TB
	ctx     context.Context
	pipe    *pipe
	session string
	silent  bool // pages run no JavaScript
}

// Open opens a window.
func (b *Browser) Open(w Window) *Tab {
	b.t.Helper()
	var context struct{ BrowserContextID string }
	b.call("Target.createBrowserContext", nil, &context)
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": context.BrowserContextID}, &target)
	var session struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	t := &Tab{t: b.t, ctx: b.ctx, pipe: b.pipe, session: session.SessionID, silent: w.NoScript}
	t.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": w.Width, "height": w.Height, "deviceScaleFactor": 1, "mobile": w.Width < 500}, nil)
	scheme := "light"
	if w.Dark {
		scheme = "dark"
	}
	t.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	t.call("Emulation.setScrollbarsHidden", map[string]any{"hidden": true}, nil) // a scroll bar would hide the right edge of a picture
	t.runScripts(!t.silent)
	t.call("Page.enable", nil, nil)
	return t
}

func (b *Browser) call(method string, params, result any) {
	b.t.Helper()
	if err := b.pipe.call(b.ctx, "", method, params, result); err != nil {
		b.t.Fatal(err)
	}
}

func (t *Tab) call(method string, params, result any) {
	t.t.Helper()
	if err := t.pipe.call(t.ctx, t.session, method, params, result); err != nil {
		t.t.Fatal(err)
	}
}

// Go opens an address, as a bookmark does.
func (t *Tab) Go(address string) {
	t.t.Helper()
	t.call("Page.navigate", map[string]any{"url": address}, nil)
}

// HTML returns the current page, or "" while it changes.
func (t *Tab) HTML() string {
	var root struct{ Root struct{ NodeID int } }
	if t.pipe.call(t.ctx, t.session, "DOM.getDocument", nil, &root) != nil {
		return ""
	}
	var page struct{ OuterHTML string }
	if t.pipe.call(t.ctx, t.session, "DOM.getOuterHTML", map[string]any{"nodeId": root.Root.NodeID}, &page) != nil {
		return ""
	}
	return page.OuterHTML
}

// Await waits until the page has a text, is loaded, and is on the screen: a click on
// a page that Chromium has not painted is lost.
func (t *Tab) Await(text string) {
	t.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		page := t.HTML()
		if strings.Contains(page, text) && t.painted() {
			return
		}
		select {
		case <-tick.C:
		case <-t.ctx.Done():
			t.t.Fatalf("the page lacks %q:\n%s", text, page)
		}
	}
}

// Click moves the mouse to an element, and clicks on it.
func (t *Tab) Click(selector string) {
	t.t.Helper()
	var root struct{ Root struct{ NodeID int } }
	t.call("DOM.getDocument", nil, &root)
	var node struct{ NodeID int }
	t.call("DOM.querySelector", map[string]any{"nodeId": root.Root.NodeID, "selector": selector}, &node)
	if node.NodeID == 0 {
		t.t.Fatalf("the page has no %s:\n%s", selector, t.HTML())
	}
	t.call("DOM.scrollIntoViewIfNeeded", map[string]any{"nodeId": node.NodeID}, nil)
	var box struct{ Model struct{ Border [8]float64 } }
	t.call("DOM.getBoxModel", map[string]any{"nodeId": node.NodeID}, &box)
	at := map[string]any{"x": (box.Model.Border[0] + box.Model.Border[4]) / 2, "y": (box.Model.Border[1] + box.Model.Border[5]) / 2}
	for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		at["type"] = kind
		if kind != "mouseMoved" {
			at["button"], at["clickCount"] = "left", 1
		}
		t.call("Input.dispatchMouseEvent", at, nil)
	}
}

// keys are the keys that tests press.
var keys = map[string]map[string]any{
	"Tab":   {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9},
	"Enter": {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
	"Space": {"key": " ", "code": "Space", "windowsVirtualKeyCode": 32, "text": " "},
	"Down":  {"key": "ArrowDown", "code": "ArrowDown", "windowsVirtualKeyCode": 40},
}

// Press presses one of these keys: Tab, Enter, Space or Down.
func (t *Tab) Press(key string) {
	t.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		event := map[string]any{"type": kind}
		for name, value := range keys[key] {
			if kind == "keyDown" || name != "text" {
				event[name] = value
			}
		}
		t.call("Input.dispatchKeyEvent", event, nil)
	}
}

// Type types a text into the focused element.
func (t *Tab) Type(text string) {
	t.t.Helper()
	t.call("Input.insertText", map[string]any{"text": text}, nil)
}

// TabTo presses Tab until an element that matches the selector has the focus.
func (t *Tab) TabTo(selector string) {
	t.t.Helper()
	const most = 60
	for range most {
		t.Press("Tab")
		if t.Eval(`document.activeElement.matches(`+quoted(selector)+`)`) == "true" {
			return
		}
	}
	t.t.Fatalf("%d times Tab don't lead to %s:\n%s", most, selector, t.HTML())
}

func (t *Tab) runScripts(run bool) {
	t.t.Helper()
	t.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": !run}, nil)
}

// painted reports whether the page is loaded and has been painted. Two frames: the
// first begins before the page is painted.
func (t *Tab) painted() bool {
	t.t.Helper()
	const painted = `document.readyState === "complete" &&
		new Promise((yes) => requestAnimationFrame(() => requestAnimationFrame(() => yes(true))))`
	got, err := t.eval(painted)
	return err == nil && got == "true" // an error: the page is gone, and the next one comes
}

// Eval returns the value of an expression as JSON. Eval waits for the value if
// that is a promise. The page can run scripts during the call. If the page is
// replaced meanwhile, for example because it refreshes itself, Eval evaluates
// the expression in the next page.
func (t *Tab) Eval(expression string) string {
	t.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := t.eval(expression)
		if err == nil {
			return got
		}
		if errors.Is(err, errException) || t.ctx.Err() != nil {
			t.t.Fatalf("%.200s: %v", expression, err)
		}
		select {
		case <-tick.C:
		case <-t.ctx.Done():
		}
	}
}

// errException means that the page has thrown an exception.
var errException = errors.New("exception")

func (t *Tab) eval(expression string) (string, error) {
	t.t.Helper()
	if t.silent {
		t.runScripts(true)
		defer t.runScripts(false)
	}
	var r struct {
		Result    struct{ Value json.RawMessage }
		Exception *struct{ Text string } `json:"exceptionDetails"`
	}
	err := t.pipe.call(t.ctx, t.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	switch {
	case err != nil:
		return "", err
	case r.Exception != nil:
		return "", fmt.Errorf("%w: %s", errException, r.Exception.Text)
	}
	return string(r.Result.Value), nil
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a string
	return string(b)
}

// Screenshot returns the whole page as PNG.
func (t *Tab) Screenshot() []byte {
	t.t.Helper()
	var shot struct{ Data string }
	t.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	b, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		t.t.Fatal(err)
	}
	return b
}
