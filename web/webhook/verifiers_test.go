package webhook_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/web/webhook"
)

const (
	standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	stripeSecret   = "whsec_test_secret_of_sixteen"
	githubSecret   = "It's a Secret to Everybody"
	slackSecret    = "8f742231b10e8888abcd99yyyzzz85a5"
)

func mac(key string, parts ...string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// These functions sign messages as the senders do.

func standardHeader(id string, at time.Time, body string) http.Header {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(standardSecret, "whsec_"))
	sent := fmt.Sprint(at.Unix())
	return headers("webhook-id", id, "webhook-timestamp", sent, "webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac(string(key), id, ".", sent, ".", body)))
}

func stripeHeader(at time.Time, body string) http.Header {
	sent := fmt.Sprint(at.Unix())
	return headers("Stripe-Signature", "t="+sent+",v1="+hex.EncodeToString(mac(stripeSecret, sent, ".", body)))
}

func githubHeader(body string) http.Header {
	return headers("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac(githubSecret, body)), "X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
}

func slackHeader(at time.Time, body string) http.Header {
	sent := fmt.Sprint(at.Unix())
	return headers("X-Slack-Signature", "v0="+hex.EncodeToString(mac(slackSecret, "v0:", sent, ":", body)), "X-Slack-Request-Timestamp", sent)
}

func headers(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func must(t testing.TB) func(v webhook.Verifier, err error) webhook.Verifier {
	return func(v webhook.Verifier, err error) webhook.Verifier {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// These are examples that the senders themselves have published.
func TestOfficialVectors(t *testing.T) {
	standard, github, slack := must(t)(webhook.Standard(standardSecret)), must(t)(webhook.GitHub(githubSecret)), must(t)(webhook.Slack(slackSecret))
	const slackBody = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	for _, c := range []struct {
		name string
		v    webhook.Verifier
		h    http.Header
		body string
		at   int64
		id   string
	}{
		{name: "Standard Webhooks", v: standard, h: headers("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp", "1614265330", "webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
			body: `{"test": 2432232314}`, at: 1614265330, id: "msg_p5jXN8AQM9LWM0D4loKWxJek"},
		{name: "GitHub", v: github, h: headers("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
			body: "Hello, World!", at: 0, id: "sha256:dffd6021bb2bd5b0af676290809ec3a53191dd81c7f70a4b28688a362182986f"},
		{name: "Slack", v: slack, h: headers("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503", "X-Slack-Request-Timestamp", "1531420618"),
			body: slackBody, at: 1531420618, id: ""},
	} {
		m, err := c.v.Verify(c.h, []byte(c.body), time.Unix(c.at, 0))
		if err != nil || c.id != "" && m.ID != c.id || c.at != 0 && m.Sent.Unix() != c.at {
			t.Errorf("%s: %+v, %v", c.name, m, err)
		}
		if _, err := c.v.Verify(c.h, []byte(c.body+" "), time.Unix(c.at, 0)); !errors.Is(err, webhook.ErrSignature) {
			t.Errorf("%s with another body: %v", c.name, err)
		}
	}
}

func TestSignatures(t *testing.T) {
	const body = `{"id":"evt_1","n":1}`
	now := time.Unix(1_800_000_000, 0)
	other := strings.Repeat("x", 32)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sent := fmt.Sprint(now.Unix())
	v1 := standardHeader("msg_1", now, body).Get("Webhook-Signature")
	v1a := "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte("msg_1."+sent+"."+body)))
	whpk := "whpk_" + base64.StdEncoding.EncodeToString(public)
	otherSecret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(other))
	stripe := stripeHeader(now, body).Get("Stripe-Signature")
	_, stripeV1, _ := strings.Cut(stripe, ",")
	slack := slackHeader(now, body)

	standard := func(signature string, change ...string) http.Header {
		h := headers("webhook-id", "msg_1", "webhook-timestamp", sent, "webhook-signature", signature)
		maps.Copy(h, headers(change...))
		return h
	}
	twice := func(h http.Header, name string) http.Header {
		h = h.Clone()
		h.Add(name, h.Get(name))
		return h
	}
	S, P, G, L := must(t)(webhook.Standard(standardSecret)), must(t)(webhook.Stripe(stripeSecret)), must(t)(webhook.GitHub(githubSecret)), must(t)(webhook.Slack(slackSecret))
	rotated := must(t)(webhook.Standard(otherSecret, standardSecret, whpk))
	for _, c := range []struct {
		name string
		v    webhook.Verifier
		h    http.Header
		at   time.Time
		good bool
	}{
		{name: "standard", v: S, h: standard(v1), at: now, good: true},
		{name: "standard, as Svix sends it", v: S, h: headers("svix-id", "msg_1", "svix-timestamp", sent, "svix-signature", v1), at: now, good: true},
		{name: "standard, mixed with Svix", v: S, h: headers("svix-id", "msg_1", "webhook-timestamp", sent, "webhook-signature", v1), at: now, good: false},
		{name: "standard, one of several", v: S, h: standard("v1,AAAA v2,x v1a,AAAA " + v1), at: now, good: true},
		{name: "standard, 16 of them", v: S, h: standard(strings.Repeat("v1,AAAA ", 15) + v1), at: now, good: true},
		{name: "standard, 17 of them", v: S, h: standard(strings.Repeat("v1,AAAA ", 16) + v1), at: now, good: false},
		{name: "standard, while a secret is rotated", v: rotated, h: standard(v1), at: now, good: true},
		{name: "standard, ed25519", v: rotated, h: standard(v1a), at: now, good: true},
		{name: "standard, ed25519 without its key", v: S, h: standard(v1a), at: now, good: false},
		{name: "standard, hmac as ed25519", v: rotated, h: standard("v1a" + strings.TrimPrefix(v1, "v1")), at: now, good: false},
		{name: "standard, missing", v: S, h: standard(""), at: now, good: false},
		{name: "standard, no headers", v: S, h: http.Header{}, at: now, good: false},
		{name: "standard, wrong", v: S, h: standard("v1," + base64.StdEncoding.EncodeToString(make([]byte, 32))), at: now, good: false},
		{name: "standard, cut", v: S, h: standard(v1[:len(v1)-4]), at: now, good: false},
		{name: "standard, version 0", v: S, h: standard("v0" + strings.TrimPrefix(v1, "v1")), at: now, good: false},
		{name: "standard, another ID", v: S, h: standard(v1, "webhook-id", "msg_2"), at: now, good: false},
		{name: "standard, an ID that takes a part of the rest", v: S, h: standard(v1, "webhook-id", "msg_1."+sent), at: now, good: false},
		{name: "standard, twice the header", v: S, h: twice(standard(v1), "Webhook-Signature"), at: now, good: false},
		{name: "standard, twice the ID", v: S, h: twice(standard(v1), "Webhook-Id"), at: now, good: false},
		{name: "standard, 5 min old", v: S, h: standard(v1), at: now.Add(5 * time.Minute), good: true},
		{name: "standard, old", v: S, h: standard(v1), at: now.Add(5*time.Minute + time.Second), good: false},
		{name: "standard, from the future", v: S, h: standard(v1), at: now.Add(-5*time.Minute - time.Second), good: false},
		{name: "standard, no time", v: S, h: standard(v1, "webhook-timestamp", "now"), at: now, good: false},
		{name: "standard, another spelling of the time", v: S, h: standard(v1, "webhook-timestamp", "+"+sent), at: now, good: false},

		{name: "stripe", v: P, h: headers("Stripe-Signature", stripe), at: now, good: true},
		{name: "stripe, one of several", v: P, h: headers("Stripe-Signature", "t="+sent+",v1=00,v0=ab,"+stripeV1), at: now, good: true},
		{name: "stripe, 17 of them", v: P, h: headers("Stripe-Signature", "t="+sent+strings.Repeat(",v1=00", 16)+","+stripeV1), at: now, good: false},
		{name: "stripe, two times", v: P, h: headers("Stripe-Signature", "t=1,"+stripe), at: now, good: false},
		{name: "stripe, no time", v: P, h: headers("Stripe-Signature", stripeV1), at: now, good: false},
		{name: "stripe, as v0", v: P, h: headers("Stripe-Signature", strings.Replace(stripe, "v1=", "v0=", 1)), at: now, good: false},
		{name: "stripe, missing", v: P, h: http.Header{}, at: now, good: false},
		{name: "stripe, old", v: P, h: headers("Stripe-Signature", stripe), at: now.Add(time.Hour), good: false},
		{name: "stripe, from the future", v: P, h: headers("Stripe-Signature", stripe), at: now.Add(-time.Hour), good: false},
		{name: "stripe, twice the header", v: P, h: twice(headers("Stripe-Signature", stripe), "Stripe-Signature"), at: now, good: false},

		{name: "github", v: G, h: githubHeader(body), at: now, good: true},
		{name: "github, SHA-1", v: G, h: headers("X-Hub-Signature", "sha1=00"), at: now, good: false},
		{name: "github, missing", v: G, h: http.Header{}, at: now, good: false},
		{name: "github, no prefix", v: G, h: headers("X-Hub-Signature-256", strings.TrimPrefix(githubHeader(body).Get("X-Hub-Signature-256"), "sha256=")), at: now, good: false},
		{name: "github, another body's", v: G, h: githubHeader(body + " "), at: now, good: false},

		{name: "slack", v: L, h: slack, at: now, good: true},
		{name: "slack, old", v: L, h: slack, at: now.Add(time.Hour), good: false},
		{name: "slack, from the future", v: L, h: slack, at: now.Add(-time.Hour), good: false},
		{name: "slack, another time", v: L, h: headers("X-Slack-Signature", slack.Get("X-Slack-Signature"), "X-Slack-Request-Timestamp", fmt.Sprint(now.Unix()+1)), at: now, good: false},
		{name: "slack, missing", v: L, h: http.Header{}, at: now, good: false},
	} {
		m, err := c.v.Verify(c.h, []byte(body), c.at)
		if c.good && (err != nil || m.ID == "") || !c.good && (!errors.Is(err, webhook.ErrSignature) || m != (webhook.Message{})) {
			t.Errorf("%s: %+v, %v", c.name, m, err)
		}
	}

	if m, _ := P.Verify(headers("Stripe-Signature", stripe), []byte(body), now); m.ID != "evt_1" {
		t.Errorf("Stripe's message has the ID %q, want the event's", m.ID)
	}
	for _, odd := range []string{`[]`, `{"id":7}`, `{"id":""}`, `x`} {
		if m, err := P.Verify(stripeHeader(now, odd), []byte(odd), now); err != nil || !strings.HasPrefix(m.ID, "sha256:") {
			t.Errorf("a body without an event's ID: %+v, %v", m, err)
		}
	}
}

func TestVerifiersRefuseSecrets(t *testing.T) {
	for name, make := range map[string]func(...string) (webhook.Verifier, error){
		"Standard": webhook.Standard, "Stripe": webhook.Stripe, "GitHub": webhook.GitHub, "Slack": webhook.Slack,
	} {
		for _, secrets := range [][]string{nil, {""}, {standardSecret, ""}, {"short"}, {"whsec_"}, {"whpk_AAAA"}, make17(standardSecret)} {
			if v, err := make(secrets...); err == nil || v != nil {
				t.Errorf("%s takes the secrets %q", name, secrets)
			} else if strings.Contains(err.Error(), "short") || strings.Contains(err.Error(), standardSecret) {
				t.Errorf("%s shows a secret: %v", name, err)
			}
		}
	}
}

func make17(s string) []string {
	list := make([]string, 17)
	for i := range list {
		list[i] = s
	}
	return list
}

func FuzzStandardHeader(f *testing.F) {
	v, err := webhook.Standard(standardSecret)
	if err != nil {
		f.Fatal(err)
	}
	at := time.Unix(1_800_000_000, 0)
	h := standardHeader("msg_1", at, "{}")
	f.Add("msg_1", "1800000000", h.Get("Webhook-Signature"))
	f.Add("msg_1.1800000000", "1800000000", "v1, v1a,")
	f.Fuzz(func(t *testing.T, id, sent, signature string) {
		m, err := v.Verify(headers("webhook-id", id, "webhook-timestamp", sent, "webhook-signature", signature), []byte("{}"), at)
		wantVerdict(t, m, err, func() bool {
			key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(standardSecret, "whsec_"))
			want := "v1," + base64.StdEncoding.EncodeToString(mac(string(key), id, ".", sent, ".{}"))
			return strings.Contains(signature, strings.TrimRight(want, "="))
		})
	})
}

func FuzzStripeHeader(f *testing.F) {
	v, err := webhook.Stripe(stripeSecret)
	if err != nil {
		f.Fatal(err)
	}
	at := time.Unix(1_800_000_000, 0)
	good := stripeHeader(at, "{}").Get("Stripe-Signature")
	f.Add(good)
	f.Add("t=1,v1=,v1=00,t=")
	f.Fuzz(func(t *testing.T, signature string) {
		m, err := v.Verify(headers("Stripe-Signature", signature), []byte("{}"), at)
		wantVerdict(t, m, err, func() bool {
			for skew := -300; skew <= 300; skew++ {
				sent := fmt.Sprint(at.Unix() + int64(skew))
				if strings.Contains(strings.ToLower(signature), hex.EncodeToString(mac(stripeSecret, sent, ".{}"))) {
					return true
				}
			}
			return false
		})
	})
}

func FuzzGitHubHeader(f *testing.F) {
	v, err := webhook.GitHub(githubSecret)
	if err != nil {
		f.Fatal(err)
	}
	good := githubHeader("{}").Get("X-Hub-Signature-256")
	f.Add(good)
	f.Add("sha256=")
	f.Fuzz(func(t *testing.T, signature string) {
		m, err := v.Verify(headers("X-Hub-Signature-256", signature), []byte("{}"), time.Unix(0, 0))
		wantVerdict(t, m, err, func() bool { return strings.EqualFold(signature, good) })
	})
}

func FuzzSlackHeader(f *testing.F) {
	v, err := webhook.Slack(slackSecret)
	if err != nil {
		f.Fatal(err)
	}
	at := time.Unix(1_800_000_000, 0)
	good := slackHeader(at, "{}")
	f.Add(good.Get("X-Slack-Signature"), good.Get("X-Slack-Request-Timestamp"))
	f.Add("v0=", "v0")
	f.Fuzz(func(t *testing.T, signature, sent string) {
		m, err := v.Verify(headers("X-Slack-Signature", signature, "X-Slack-Request-Timestamp", sent), []byte("{}"), at)
		wantVerdict(t, m, err, func() bool {
			return strings.EqualFold(signature, "v0="+hex.EncodeToString(mac(slackSecret, "v0:", sent, ":{}")))
		})
	})
}

// wantVerdict checks that an accepted message was signed, and that the error
// for any other message is ErrSignature.
func wantVerdict(t *testing.T, m webhook.Message, err error, signed func() bool) {
	t.Helper()
	if err == nil && (m.ID == "" || !signed()) {
		t.Fatalf("accepted as %+v, without a good signature", m)
	}
	if err != nil && !errors.Is(err, webhook.ErrSignature) {
		t.Fatalf("%v is no ErrSignature", err)
	}
}

// TestStandardSignatureHasOneText: the last character of 32 bytes in base64 has
// two unused bits. A signature with other values in the unused bits is refused,
// as in the reference implementation.
func TestStandardSignatureHasOneText(t *testing.T) {
	v, err := webhook.Standard(standardSecret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	h := standardHeader("msg_1", now, "{}")
	good := h.Get("webhook-signature")
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := len(good) - len("=") - 1
	h.Set("webhook-signature", good[:last]+string(digits[strings.IndexByte(digits, good[last])+1])+"=")
	if _, err := v.Verify(h, []byte("{}"), now); !errors.Is(err, webhook.ErrSignature) {
		t.Errorf("%s instead of %s: %v, want ErrSignature", h.Get("webhook-signature"), good, err)
	}
}
