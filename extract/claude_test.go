package extract_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

const device = "9af6db7ad19bff08ed644a8413fffc0a118e661af905e7c46674f5f19f52cef8"

// quote returns s as a JSON string.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func userID(s string) []byte { return fmt.Appendf(nil, `{"metadata":{"user_id":%s}}`, quote(s)) }

func TestClaudeUserID(t *testing.T) {
	t.Parallel()
	const deep = 2000
	for _, test := range []struct {
		name, userID string
		want         string
		plain        bool // UserID takes it as it is
	}{
		{"old form", "user_" + device + "_account_" + uuid2 + "_session_" + uuid, uuid, false},
		{"old form without an account", "user_" + device + "_account__session_" + uuid, uuid, false},
		{"old form in upper case", "user_" + device + "_account__session_" + strings.ToUpper(uuid), uuid, false},
		{"old form with white space around", " user_" + device + "_account__session_" + uuid + "\n", uuid, false},
		{"old form with a short hash", "user_ab_account__session_" + uuid, uuid, false},
		// The limit of 256 bytes is for the id, not for what it is cut out of.
		{"old form beyond 256 bytes", "user_" + strings.Repeat("ab", 4000) + "_account_" + uuid2 + "_session_" + uuid, uuid, false},
		{"old form with the zero uuid", "user_" + device + "_account__session_00000000-0000-0000-0000-000000000000", "", false},

		{"old form with all letters", "user_09azAZ_account__session_" + uuid, uuid, false},
		{"old form without a session", "user_" + device + "_account__session_", "", false},
		{"old form with a placeholder", "user_" + device + "_account__session_undefined", "", false},

		{"nothing but a suffix", "anything_session_a", "", true},
		{"a uuid behind a suffix", "anything_session_" + uuid, "", true},
		{"no hash", "user__account__session_" + uuid, "", true},
		{"no user", device + "_account__session_" + uuid, "", true},
		{"no account at all", "user_" + device + "_session_" + uuid, "", true},
		{"an account that is none", "user_" + device + "_account_x_session_" + uuid, "", true},
		{"a session that is no uuid", "user_" + device + "_account__session_a", "", true},
		{"a session that is cut off", "user_" + device + "_account__session_" + uuid[:35], "", true},
		{"something behind the session", "user_" + device + "_account__session_" + uuid + "x", "", true},
		{"two sessions", "user_" + device + "_account__session_" + uuid2 + "_session_" + uuid, "", true},
		{"an account of hexadecimal digits", "user_" + device + "_account_ab_session_" + uuid, "", true},
		{"an account alone", "user_" + device + "_account_" + uuid2, "", true},
		{"a hyphen in the hash", "user_a-b_account__session_" + uuid, "", true},
		{"an underscore in the hash", "user_a_b_account__session_" + uuid, "", true},
		{"a hash with a sign next to the letters", "user_a`b_account__session_" + uuid, "", true},
		{"a hash with another", "user_a@b_account__session_" + uuid, "", true},
		{"upper-case words", "USER_" + device + "_ACCOUNT__SESSION_" + uuid, "", true},
		{"something in front", "x user_" + device + "_account__session_" + uuid, "", true},
		{"a bare hash, of very old clients", device, "", true},
		{"a bare uuid, of kimi-cli", uuid, "", true},
		{"an e-mail address", "jane@example.com", "", true},

		{"new form", `{"device_id":"` + device + `","account_uuid":"","session_id":"` + uuid + `"}`, uuid, false},
		{"new form in another order", `{"session_id":"` + uuid + `","device_id":"` + device + `"}`, uuid, false},
		{"new form in upper case", `{"session_id":"` + strings.ToUpper(uuid) + `"}`, uuid, false},
		{"new form with white space", " \n{ \"session_id\" :\t\"" + uuid + "\" } ", uuid, false},
		{"new form with an id that is no uuid", `{"session_id":"ses_1"}`, "ses_1", false},
		{"new form with a parent", `{"parent_session_id":"` + uuid2 + `","session_id":"` + uuid + `"}`, uuid, false},
		{"new form with escapes", `{"session\u005fid":"\u0063a40aa6d-4238-464e-98df-6ba3e9377c6e"}`, uuid, false},
		{"new form beyond 256 bytes", `{"device_id":"` + strings.Repeat("a", 4000) + `","session_id":"` + uuid + `"}`, uuid, false},
		{"duplicate key: the last one", `{"session_id":"` + uuid2 + `","session_id":"` + uuid + `"}`, uuid, false},
		{"duplicate key of which the last is no id", `{"session_id":"` + uuid + `","session_id":null}`, "", false},
		{"session_id deeper only", `{"a":{"session_id":"` + uuid + `"}}`, "", false},
		{"session_id deeper and here", `{"a":{"session_id":"` + uuid2 + `"},"session_id":"` + uuid + `"}`, uuid, false},
		{"session_id inside a string", `{"a":"\"session_id\":\"` + uuid + `\""}`, "", false},
		{"no session_id: it would name a device", `{"device_id":"` + device + `"}`, "", false},
		{"empty object", `{}`, "", false},
		{"session_id is a number", `{"session_id":12}`, "", false},
		{"session_id is true", `{"session_id":true}`, "", false},
		{"session_id is null", `{"session_id":null}`, "", false},
		{"session_id is an array", `{"session_id":["` + uuid + `"]}`, "", false},
		{"session_id is an object", `{"session_id":{"id":"` + uuid + `"}}`, "", false},
		{"session_id is empty", `{"session_id":""}`, "", false},
		{"session_id is a placeholder", `{"session_id":"null"}`, "", false},
		{"session_id is too long", `{"session_id":"` + strings.Repeat("a", 257) + `"}`, "", false},
		{"session_id with a newline", `{"session_id":"a\nb"}`, "", false},
		{"sessionId is another name", `{"sessionId":"` + uuid + `"}`, "", false},

		{"broken off", `{"session_id":"` + uuid + `"`, "", true},
		{"something behind", `{"session_id":"` + uuid + `"} x`, "", true},
		{"two objects", `{"session_id":"` + uuid + `"}{}`, "", true},
		{"a comma too many", `{"session_id":"` + uuid + `",}`, "", true},
		{"single quotes", `{'session_id':'` + uuid + `'}`, "", true},
		{"an array", `[{"session_id":"` + uuid + `"}]`, "", true},
		{"a JSON string", `"` + uuid + `"`, "", true},
		{"too deep", `{"a":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + `,"session_id":"` + uuid + `"}`, "", false},

		{"empty", "", "", false},
		{"placeholder", "null", "", false},
		{"a template", "{{user_id}}", "", false},
		{"bait: 1 MB of old form", strings.Repeat("user_a_account__session_", 1<<20/24) + uuid, "", false},
		{"bait: 1 MB of new form", `{"a":"` + strings.Repeat("a", 1<<20) + `","session_id":"` + uuid + `"}`, "", false},
		{"bait: 1 MB of brackets", strings.Repeat("{", 1<<20), "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := userID(test.userID)
			source := ""
			if test.want != "" {
				source = "claude-code"
			}
			requireSession(t, extract.ClaudeUserID(), &extract.Request{Body: body}, source, test.want)
			for _, e := range []extract.Extractor{extract.ClaudeCode(), extract.Chain{extract.ClaudeCode(), extract.Headers()}} {
				requireSession(t, e, &extract.Request{Body: body, Header: header("Anthropic-Version", "2023-06-01")}, source, test.want)
			}
			if test.plain {
				requireSession(t, extract.UserID(), &extract.Request{Body: body}, "metadata.user_id", strings.TrimSpace(test.userID))
			} else {
				requireSession(t, extract.UserID(), &extract.Request{Body: body}, "", "")
			}
		})
	}
}

func TestUserIDOfAnotherType(t *testing.T) {
	t.Parallel()
	for _, v := range []string{`true`, `false`, `12`, `-1.5e3`, `[]`, `["a"]`, `{}`, `{"id":"a"}`, `null`, `""`} {
		for _, body := range []string{`{"metadata":{"user_id":%s}}`, `{"metadata":{"user_id":"a","user_id":%s}}`, `{"metadata":{"user_id":"a"},"metadata":%s}`} {
			r := &extract.Request{Body: fmt.Appendf(nil, body, v), Header: header("Anthropic-Version", "2023-06-01")}
			requireSession(t, extract.Default(), r, "", "")
			requireSession(t, extract.Classic(), r, "", "")
		}
	}
}

func TestClaudeCode(t *testing.T) {
	t.Parallel()
	const name = "X-Claude-Code-Session-Id"
	newForm := string(userID(`{"session_id":"` + uuid2 + `"}`))
	anthropic := func(pairs ...string) http.Header { return header(append(pairs, "Anthropic-Version", "2023-06-01")...) }
	for _, test := range []struct {
		name   string
		header http.Header
		body   string
		want   string
	}{
		{"header only", header(name, uuid), ``, uuid},
		{"header in lower case", header(strings.ToLower(name), uuid), ``, uuid},
		{"header as documented", header("X-Claude-Code-Session-ID", uuid), ``, uuid},
		{"header in upper case of a uuid", header(name, strings.ToUpper(uuid)), ``, uuid},
		{"header that is no uuid", header(name, "ses-1"), ``, "ses-1"},
		{"header and body agree", anthropic(name, uuid2), newForm, uuid2},
		{"header and body differ: the header", anthropic(name, uuid), newForm, uuid},
		{"header is no id: the body", anthropic(name, "undefined"), newForm, uuid2},
		{"header has two values: the body", anthropic(name, uuid, name, uuid2), newForm, uuid2},
		{"body only", anthropic(), newForm, uuid2},
		{"body of another protocol", header(), newForm, ""},
		{"header and a body of garbage", header(name, uuid), `{"metadata":`, uuid},
		{"agent id alone", header("X-Claude-Code-Agent-Id", "a1e37403a36fc420c"), ``, ""},
		{"another header, and the body only where no quick look finds it", anthropic("X-Session-Id", uuid), `{"messages":` + big(wholly) + `,` + newForm[1:len(newForm)-1] + `,"tools":` + big(wholly) + `}`, ""},
		{"neither", anthropic(), `{}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			source := ""
			if test.want != "" {
				source = "claude-code"
			}
			requireSession(t, extract.ClaudeCode(), &extract.Request{Header: test.header, Body: []byte(test.body)}, source, test.want)
		})
	}

	for _, path := range []string{"/v1/chat/completions", "/v1/responses"} {
		requireSession(t, extract.ClaudeCode(), &extract.Request{Path: path, Header: anthropic(), Body: []byte(newForm)}, "", "")
	}
	t.Run("a session stays one when a proxy drops the header or the body's metadata", func(t *testing.T) {
		t.Parallel()
		for _, r := range []*extract.Request{
			{Header: header(name, uuid2)},
			{Body: []byte(newForm)},
			{Header: header(name, strings.ToUpper(uuid2)), Body: []byte(newForm)},
			{Body: userID("user_" + device + "_account__session_" + uuid2)},
		} {
			requireSession(t, extract.Default(), r, "claude-code", uuid2)
		}
	})
}

// Proxies that translate Claude Code's requests for OpenAI's API, such as LiteLLM, put its user_id
// into user, which else names a person.
func TestClaudeUserIDTranslated(t *testing.T) {
	t.Parallel()
	text := "user_" + device + "_account__session_" + uuid
	json := `{"device_id":"` + device + `","account_uuid":"","session_id":"` + uuid + `"}`
	for _, e := range []extract.Extractor{extract.Default(), extract.Classic(), extract.ClaudeUserID()} {
		for _, user := range []string{text, json} {
			for _, more := range []string{"", `,"metadata":{"user_id":"anna"}`, `,"messages":[` + u(strings.Repeat("hi", 10_000)) + `]`} {
				requireSession(t, e, &extract.Request{Body: []byte(`{"user":` + quote(user) + more + `}`)}, "claude-code", uuid)
			}
			requireSession(t, e, &extract.Request{Body: []byte(`{"user":` + quote(user) + `,"metadata":{"user_id":` + quote(`{"session_id":"`+uuid2+`"}`) + `}}`)}, "claude-code", uuid2)
		}
		for _, more := range []string{"", `,"messages":[` + u(strings.Repeat("hi", 10_000)) + `]`} {
			requireSession(t, e, &extract.Request{Body: []byte(`{"user":` + quote(text) + `,"conversation_id":"other"` + more + `}`)}, "claude-code", uuid)
		}
		for _, user := range []string{`"anna"`, quote("anna_session_" + uuid), quote("user_" + device + "_account__session_"), quote(`{"device_id":"a"}`), `{"session_id":"a"}`, "7"} {
			requireSession(t, e, &extract.Request{Body: []byte(`{"user":` + user + `}`)}, "", "")
		}
	}
}

// A body is not crossed for a metadata.user_id where another header names
// the session, wherever Default and its like would find it, and whoever has read
// the body before.
func TestClaudeCodeInLargeBodies(t *testing.T) {
	t.Parallel()
	const claude = "claude-code"
	metadata := `"metadata":{"user_id":` + quote(`{"session_id":"`+uuid2+`"}`) + `}`
	large := func(name string) string { return `"` + name + `":` + big(wholly) }
	small := func(name string) string { return `"` + name + `":` + big(wholly/3) }
	tiny := func(name string) string { return `"` + name + `":` + big(1500) }
	chains := map[string]extract.Extractor{
		"Default": extract.Default(), "the same": extract.Chain{extract.ClaudeCode(), extract.Headers(), extract.ClaudeUserID(), extract.BodyIDs(), extract.Trail()},
	}
	for _, test := range []struct {
		name, body     string
		source, header string // without another header, and with one
	}{
		{"at the head", `{` + metadata + `,` + large("messages") + `}`, claude, claude},
		{"at the tail", `{` + large("messages") + `,` + metadata + `,"stream":true}`, claude, claude},
		{"in the middle", `{` + large("messages") + `,` + metadata + `,` + large("tools") + `}`, claude, "x-session-id"},
		{"in the middle of a body of 22 kB", `{` + small("messages") + `,` + metadata + `,` + small("tools") + `}`, claude, "x-session-id"},
		{"at the tail of a body of 22 kB", `{` + small("messages") + `,` + small("tools") + `,` + metadata + `}`, claude, claude},
		{"in the middle of a small body", `{` + tiny("messages") + `,` + metadata + `,` + tiny("tools") + `}`, claude, claude},
		{"in a small body, with other user ids", `{"user_":1,"_id":"user_","my_user_i":"d",` + metadata + `}`, claude, claude},
		{"in a small body, with escapes in the name", `{"metadata":{"user\u005fid":"user_` + device + `_account__session_` + uuid2 + `"}}`, claude, "x-session-id"},
		{"in a small body, elsewhere", `{"messages":["user_id"],"user_id":"user_` + device + `_account__session_` + uuid2 + `"}`, "trail", "x-session-id"},
		{"not there", `{` + large("messages") + `,"conversation_id":"c"}`, "conversation_id", "x-session-id"},
		{"a user at the tail", `{` + large("messages") + `,"metadata":{"user_id":"anna"},"conversation_id":"c"}`, "conversation_id", "x-session-id"},
		{"a mistake in the middle", `{"messages":[}],` + large("tools") + `,` + metadata + `}`, claude, claude},
		{"a mistake at the tail", `{` + metadata + `,` + large("messages") + `}]`, "", "x-session-id"},
	} {
		for name, chain := range chains {
			t.Run(test.name+", by "+name, func(t *testing.T) {
				t.Parallel()
				for _, named := range []bool{false, true} {
					h, want := header("Anthropic-Version", "2023-06-01"), test.source
					if named {
						h.Set("X-Session-Id", uuid)
						want = test.header
					}
					r := &extract.Request{Header: h, Body: []byte(test.body)}
					for range 2 {
						s, ok := chain.Extract(r)
						require.Equal(t, want != "", ok)
						require.Equal(t, want, s.Source)
						if named {
							r.Class() // reads all
						}
					}
				}
			})
		}
	}
}

func FuzzClaudeUserID(f *testing.F) {
	for _, s := range []string{
		"user_ab_account__session_" + uuid, "user_ab_account_" + uuid2 + "_session_" + uuid, "anything_session_a", "user__account__session_",
		`{"session_id":"a"}`, `{"session_id":"a","session_id":"b"}`, `{"session_id":1}`, `{"a":{"session_id":"a"}}`, `{"session\u005fid":"\ud83d\ude00"}`,
		`{`, `{}`, `[]`, ``, ` {"session_id":" "} `, "{\"session_id\":\"\xff\"}", "{\"session_id\":\"\x95\x95\"}",
		`{"session_id":"a","x":` + strings.Repeat("[", 1100) + strings.Repeat("]", 1100) + `}`, `{"x":"` + strings.Repeat("x", 20_000) + `","session_id":"a"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := &extract.Request{Body: fmt.Appendf(nil, `{"metadata":{"user_id":%s}}`, quote(s))}
		session, ok := extract.ClaudeUserID().Extract(r)
		plain, okPlain := extract.UserID().Extract(r)
		require.False(t, ok && okPlain, "a user_id is Claude Code's or not")
		if ok {
			requireID(t, session.ID)
			require.Equal(t, "claude-code", session.Source)
		}
		if okPlain {
			requireID(t, plain.ID)
			require.Equal(t, "metadata.user_id", plain.Source)
		}
		// What a careful but slow reader finds.
		s = strings.TrimSpace(string([]rune(s))) // each byte that is no UTF-8 as U+FFFD, as quote has it
		if len(quote(s)) > 16<<10 || strings.Count(s, "[")+strings.Count(s, "{") > 1000 {
			return // it may be longer, or nested deeper, than is read
		}
		object := map[string]any{}
		if strings.HasPrefix(s, "{") && json.Unmarshal([]byte(s), &object) == nil {
			require.False(t, okPlain)
			id, _ := object["session_id"].(string)
			want, _ := extract.ID(id)
			require.Equal(t, want, session.ID)
		}
	})
}
