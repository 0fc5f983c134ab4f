package webhook_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// newKeys returns keys with these names; the first key is active.
func newKeys(names ...string) *webhook.Keys {
	k := &webhook.Keys{Keys: make(map[string][]byte), Active: names[0]}
	for _, name := range names {
		sum := sha256.Sum256([]byte("key " + name))
		k.Keys[name] = sum[:]
	}
	return k
}

const allowAll = webhook.Look | webhook.Complete | webhook.Fail | webhook.Cancel | webhook.Heartbeat

func mustSeal(t testing.TB, k *webhook.Keys, c webhook.Claims) string {
	t.Helper()
	token, err := k.Seal(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestKeys(t *testing.T) {
	k := newKeys("2026-a", "2026-b")
	c := webhook.Claims{ID: strings.Repeat("x", 54), Allow: webhook.Look | webhook.Complete, Expires: time.Now().Add(time.Hour).Truncate(time.Second), For: "ada@example.com"}
	token := mustSeal(t, k, c)
	if token == mustSeal(t, k, c) {
		t.Error("two tokens of the same claims are equal")
	}
	if len(token) > 150 || strings.Contains(token, c.ID) || strings.Contains(token, "ada") {
		t.Errorf("the token has %d characters: %s", len(token), token)
	}
	got, err := k.Open(token)
	if c.Key = "2026-a"; err != nil || got != c {
		t.Errorf("opened: %+v, %v, want %+v", got, err, c)
	}
	// If a character is changed, cut or added, the link does not open.
	for i := range token {
		for _, other := range []string{token[:i] + "A" + token[i+1:], token[:i] + "." + token[i+1:], token[:i], token[:i] + "\n" + token[i:], token + "="} {
			if other == token {
				continue
			}
			if c, err := k.Open(other); !errors.Is(err, webhook.ErrBadLink) || c != (webhook.Claims{}) {
				t.Fatalf("%q: %+v, %v, want ErrBadLink", other, c, err)
			}
		}
	}
	// The seal also authenticates the name of the key.
	swapped := &webhook.Keys{Keys: map[string][]byte{"2026-b": k.Keys["2026-a"]}, Active: "2026-b"}
	if _, err := swapped.Open("2026-b" + strings.TrimPrefix(token, "2026-a")); !errors.Is(err, webhook.ErrBadLink) {
		t.Errorf("under another name: %v", err)
	}
	if _, err := newKeys("2026-c").Open(token); !errors.Is(err, webhook.ErrBadLink) {
		t.Errorf("with another key: %v", err)
	}
	for _, wrong := range []webhook.Claims{
		{Allow: allowAll, Expires: c.Expires},
		{ID: "a b", Allow: allowAll, Expires: c.Expires},
		{ID: c.ID, Expires: c.Expires},
		{ID: c.ID, Allow: 1 << 7, Expires: c.Expires},
		{ID: c.ID, Allow: allowAll},
		{ID: c.ID, Allow: allowAll, Expires: c.Expires, For: strings.Repeat("a", 257)},
		{ID: c.ID, Allow: allowAll, Expires: c.Expires, For: "\xff"},
	} {
		if token, err := k.Seal(wrong); err == nil || token != "" {
			t.Errorf("%+v is sealed", wrong)
		}
	}
}

var update = flag.Bool("update", false, "add a golden link of this release to testdata/links.json")

// TestKeysUsed: Used gets the name of the key of each link that opens, and of
// no other link. Used may panic.
func TestKeysUsed(t *testing.T) {
	k := newKeys("2026-b", "2026-a")
	old := newKeys("2026-a")
	var used []string
	k.Used = func(key string) {
		used = append(used, key)
		panic("of the application")
	}
	c := webhook.Claims{ID: strings.Repeat("x", 54), Allow: allowAll, Expires: time.Now().Add(time.Hour)}
	late := c
	late.Expires = time.Now().Add(-time.Hour)
	for _, token := range []string{mustSeal(t, k, c), mustSeal(t, old, c)} {
		if _, err := k.Open(token); err != nil {
			t.Errorf("a link is not opened because Used panics: %v", err)
		}
	}
	for _, token := range []string{mustSeal(t, old, late), mustSeal(t, newKeys("2026-c"), c), "2026-a.xyz"} {
		if _, err := k.Open(token); err == nil {
			t.Error("the link opens")
		}
	}
	if want := []string{"2026-b", "2026-a"}; !slices.Equal(used, want) {
		t.Errorf("Used got %q, want %q", used, want)
	}
}

// TestGoldenLinks opens the links of all releases, because old links must still
// work.
func TestGoldenLinks(t *testing.T) {
	type golden struct {
		Since, Token string
		Claims       webhook.Claims
	}
	path := filepath.Join("testdata", "links.json")
	var links []golden
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &links)
	}
	k := newKeys("golden")
	if *update {
		for _, c := range []webhook.Claims{
			{ID: "0000000000" + strings.Repeat("h", 22) + strings.Repeat("s", 22), Allow: allowAll, Expires: time.Unix(7258118400, 0).UTC(), For: "ada@example.com"},
			{ID: strings.Repeat("k", 44), Allow: webhook.Look, Expires: time.Unix(7258118400, 0).UTC()},
			{ID: strings.Repeat("k", 44), Allow: webhook.Decide, Expires: time.Unix(7258118400, 0).UTC(), For: "ada@example.com"},
		} {
			token := mustSeal(t, k, c)
			c.Key = "golden"
			links = append(links, golden{"0.1", token, c})
		}
		if b, err = json.MarshalIndent(links, "", "\t"); err == nil {
			err = os.WriteFile(path, append(b, '\n'), 0o600)
		}
	}
	if err != nil || len(links) < 3 {
		t.Fatalf("%d links, %v", len(links), err)
	}
	for _, l := range links {
		got, err := k.Open(l.Token)
		got.Expires = got.Expires.UTC()
		if err != nil || got != l.Claims {
			t.Errorf("a link of release %s: %+v, %v, want %+v", l.Since, got, err, l.Claims)
		}
	}
}

// A link allows its actions until it expires, and the callback ID alone opens
// nothing.
func TestLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, uses := newKeys("new", "old"), make(map[string]int)
		k.Used = func(key string) { uses[key]++ }
		r := newRig(t, func(o *webhook.Options) { o.Keys = k })
		id := start[Decision](r, async.StartOptions{})
		link := func(by *webhook.Keys, allow webhook.Allow) string {
			token := mustSeal(t, by, webhook.Claims{ID: id, Allow: allow, Expires: time.Now().Add(time.Hour), For: "ada-" + secret + "@example.com"})
			r.secrets = append(r.secrets, token)
			return "/" + token
		}
		actions := map[webhook.Allow][]string{
			webhook.Look: {""}, webhook.Complete: {"/complete"}, webhook.Fail: {"/fail", "/reject"}, webhook.Cancel: {"/cancel"}, webhook.Heartbeat: {"/heartbeat"},
		}
		for allow, paths := range actions {
			for _, path := range paths {
				method := "POST"
				if path == "" {
					method = "GET"
				}
				r.do(request{method: method, path: link(k, allowAll&^allow) + path, body: `{"approved":true}`}).want(t, "a link without "+path, 403, "not-allowed")
			}
		}
		good := link(k, allowAll)
		for name, path := range map[string]string{
			"the bare callback ID": "/" + id, "a cut link": good[:len(good)-1], "a forged link": good[:len(good)-10] + "AAAAAAAAAA",
			"a foreign key": link(newKeys("new2"), allowAll), "an old name with another key": link(&webhook.Keys{Keys: map[string][]byte{"new": k.Keys["old"]}, Active: "new"}, allowAll),
		} {
			r.post(path+"/complete", `{"approved":true}`).want(t, name, 404, "bad-link")
		}
		r.wantWaiting(id)

		// After a rotation, the old key still opens links, and Used gets its
		// name.
		if a := r.do(request{method: "GET", path: link(&webhook.Keys{Keys: k.Keys, Active: "old"}, webhook.Look)}); a.status != 200 {
			t.Errorf("a link of the old key: %d %s", a.status, a.body)
		}
		if uses["old"] != 1 || uses["new"] == 0 {
			t.Errorf("the keys were used %v times", uses)
		}
		if !strings.Contains(r.log.String(), "key=old") {
			t.Error("the key's name is not logged")
		}

		address, err := r.handler.Link("https://example.com/answers", webhook.Claims{ID: id, Allow: webhook.Complete, Expires: time.Now().Add(time.Hour)})
		if err != nil || !strings.HasPrefix(address, "https://example.com/answers/new.") {
			t.Fatalf("the address is %q, %v", address, err)
		}
		time.Sleep(time.Hour)
		r.post(good+"/complete", `{"approved":true}`).want(t, "an expired link", 410, "expired-link")
		r.wantWaiting(id)
		for _, base := range []string{"", "example.com", "ftp://example.com", "https://example.com?a=1", "https://example.com#a", "https://u:p@example.com"} {
			if l, err := r.handler.Link(base, webhook.Claims{ID: id, Allow: allowAll, Expires: time.Now().Add(time.Hour)}); err == nil {
				t.Errorf("the base %q makes %q", base, l)
			}
		}
		if _, err := r.handler.Link("https://example.com", webhook.Claims{ID: id, Allow: allowAll, Expires: time.Now()}); err == nil {
			t.Error("a link that has expired is made")
		}
	})
}

func TestLinkNeedsKeys(t *testing.T) {
	r := newRig(t)
	if l, err := r.handler.Link("https://example.com", webhook.Claims{ID: "a", Allow: allowAll, Expires: time.Now().Add(time.Hour)}); err == nil {
		t.Errorf("without keys: %q", l)
	}
}

func FuzzKeysOpen(f *testing.F) {
	k := newKeys("a", "b")
	claims := webhook.Claims{ID: "callback", Allow: allowAll, Expires: time.Unix(7258118400, 0), For: "x"}
	good := mustSeal(f, k, claims) // the text differs in each of the fuzzer's processes
	claims.Key = "a"
	f.Add(good)
	f.Add("a.")
	f.Add("." + good)
	f.Add("a." + base64.RawURLEncoding.EncodeToString(make([]byte, 40)))
	f.Fuzz(func(t *testing.T, token string) {
		c, err := k.Open(token)
		if err == nil && c != claims {
			t.Fatalf("%q opens as %+v, want only what was sealed, %+v", token, c, claims)
		}
		if err != nil && !errors.Is(err, webhook.ErrBadLink) {
			t.Fatalf("%q: %v", token, err)
		}
	})
}

func BenchmarkKeysOpen(b *testing.B) {
	k := newKeys("a")
	token := mustSeal(b, k, webhook.Claims{ID: strings.Repeat("x", 54), Allow: allowAll, Expires: time.Unix(7258118400, 0)})
	for b.Loop() {
		if _, err := k.Open(token); err != nil {
			b.Fatal(err)
		}
	}
}
