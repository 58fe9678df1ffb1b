package extract_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// wholly is a little more than the size up to which bodies are read whole, and inPassing than that
// from which messages may be read in passing (see ends.go).
const (
	wholly    = extract.Wholly + 1<<10
	inPassing = extract.InPassing + 1<<10
)

// big is a value that takes a large body from one end to the other.
func big(n int) string {
	return `[{"role":"user","content":"` + strings.Repeat(`say \"hi\" {[ `, n/14) + `"}]`
}

// readWhole returns a Request whose body has been read.
func readWhole(body string) *extract.Request {
	r := &extract.Request{Body: []byte(body)}
	r.Class()
	return r
}

// idExtractors are all that ask for something first.
func idExtractors() map[string]extract.Extractor {
	return map[string]extract.Extractor{
		"default": unshared(), "classic": extract.Classic(), "ids": extract.BodyIDs(), "claude": extract.ClaudeUserID(),
		"body": extract.Body("chat"), "two": extract.Body("chat", "session_id"), "inner": extract.Body("metadata.user_id", "chat"),
		"escaped": extract.Body(`chat\.id`, "chat"), "query": extract.Body("metadata.*"),
	}
}

// Where in a large body its members stand makes no difference, nor whether
// somebody has read it before.
func TestIDsAtTheEndsOfLargeBodies(t *testing.T) {
	t.Parallel()
	claude := `{"user_id":` + quote(`{"session_id":"`+uuid+`"}`) + `}`
	members := []string{
		`"chat":"chat-1"`, `"conversation_id":"conv-1"`, `"ses\u0073ion_id":"session-1"`, `"prompt_cache_key":"key-1"`, `"metadata":` + claude, `"metadata":{"user_id":"user-1"}`,
		`"conversation_id":null`, `"chat" : "ch\u0061t-2"`, `"metadata":"m"`, `"metadata":{"user_id":7,"x":[{}]}`, `"stream":true`, `"model":"m"`, `"n":-1.5e3`, `"stop":["\n","\\"]`,
	}
	random := rand.New(rand.NewPCG(4, 4))
	for range 120 {
		var body []string
		seen := map[string]bool{}
		for _, i := range random.Perm(len(members))[:random.IntN(len(members))] {
			name, _, _ := strings.Cut(members[i][1:], `"`)
			if !seen[name] {
				seen[name] = true
				body = append(body, members[i])
			}
		}
		for _, m := range []string{`"messages":` + big(wholly), `"tools":` + big(random.IntN(3000))} {
			i := random.IntN(len(body) + 1)
			body = append(body[:i:i], append([]string{m}, body[i:]...)...)
		}
		text := " {" + strings.Join(body, []string{",", " ,\n"}[random.IntN(2)]) + "\n}\n"
		for name, e := range idExtractors() {
			want, ok := e.Extract(readWhole(text))
			got, ok2 := e.Extract(&extract.Request{Body: []byte(text)})
			require.Equal(t, ok, ok2, "%s: %.300s", name, text)
			require.Equal(t, want, got, "%s: %.300s", name, text)
		}
	}
}

// unshared is Default, but of parts that do not know their neighbours, and so share no work.
func unshared() (c extract.Chain) {
	for _, e := range extract.Default() {
		c = append(c, extract.Chain{e})
	}
	return c
}

// An extractor of Default does what it does, whatever stands next to it.
func TestPartsOfDefault(t *testing.T) {
	t.Parallel()
	body := func(n int) *extract.Request {
		return &extract.Request{Body: []byte(`{"messages":[{"role":"user","content":"` + strings.Repeat("x", n) + `"}],"chat":"chat-1","session_id":"session-1","metadata":{"user_id":"user-1"}}`)}
	}
	for _, test := range []struct {
		name, source string
		chain        extract.Chain
	}{
		{"all", "session_id", extract.Default()},
		{"without BodyIDs", "metadata.user_id", slices.Delete(extract.Default(), 3, 4)},
		{"another before BodyIDs", "body:chat", slices.Insert(extract.Default(), 3, extract.Body("chat"))},
		{"another before Headers", "body:chat", slices.Insert(extract.Default(), 1, extract.Body("chat"))},
		{"UserID before BodyIDs", "metadata.user_id", slices.Insert(extract.Default(), 3, extract.UserID())},
		{"without Headers", "session_id", slices.Delete(extract.Default(), 1, 2)},
		{"without ClaudeUserID", "session_id", slices.Delete(extract.Default(), 2, 3)},
	} {
		for _, size := range []int{100, wholly} {
			for _, path := range []string{"", "/v1/messages"} {
				r := body(size)
				r.Path = path
				s, _ := test.chain.Extract(r)
				require.Equal(t, test.source, s.Source, "%s, %d", test.name, size)
			}
		}
	}
	canonical, lower := header("X-Claude-Code-Session-Id", uuid, "X-Session-Id", "other"), header("x-claude-code-session-id", uuid, "x-session-id", "other")
	claudeBody := []byte(`{"metadata":{"user_id":` + quote(`{"session_id":"from-body"}`) + `},"messages":[]}`)
	for _, h := range []http.Header{canonical, lower} {
		for _, c := range []extract.Chain{
			extract.Default(), extract.Default()[:1], slices.Delete(extract.Default(), 1, 2), slices.Insert(extract.Default(), 1, extract.Header("none")),
			slices.Insert(extract.Default(), 1, extract.Header()),
		} {
			requireSession(t, c, &extract.Request{Header: h}, "claude-code", uuid)
			requireSession(t, c, &extract.Request{Header: h, Path: "/v1/messages", Body: claudeBody}, "claude-code", uuid)
		}
	}
	requireSession(t, extract.Default()[1:], &extract.Request{Header: canonical}, "claude-code", uuid)
	swapped := extract.Default()
	swapped[0], swapped[1] = swapped[1], swapped[0]
	requireSession(t, swapped, &extract.Request{Header: canonical}, "claude-code", uuid)
}

// In a large body Default takes what names a conversation at an end before what
// does so in between, and there the first; all else is as by its parts, strictly in
// order.
func TestConversationsInLargeBodies(t *testing.T) {
	long(t)
	t.Parallel()
	claude := `{"user_id":` + quote(`{"session_id":"`+uuid+`"}`) + `}`
	members := []string{
		`"conversation_id":"conv-1"`, `"conversation_id":null`, `"conversation":{"id":"conv-2"}`, `"ses\u0073ion_id":"session-1"`, `"session_id":" "`, `"sessionId":"session-2"`,
		`"metadata":` + claude, `"metadata":{"user_id":"user-1"}`, `"metadata":{"user_id":"user-1","session_id":"session-3"}`, `"metadata" : {"session_id":7}`, `"metadata":"m"`,
		`"prompt_cache_key":"key-1"`, `"request":{"session_id":"session-4","contents":[]}`, `"litellm_session_id":"session-5"`, `"previous_response_id":"resp-1"`, `"stream":true`, `"model":"m"`,
	}
	random := rand.New(rand.NewPCG(5, 5))
	differ := 0
	for range 2000 {
		var parts [3][]string // head, middle and tail
		seen := map[string]bool{}
		for _, i := range random.Perm(len(members))[:random.IntN(8)] {
			name, _, _ := strings.Cut(strings.Replace(members[i], `\u0073`, "s", 1)[1:], `"`)
			if !seen[name] {
				seen[name] = true
				at := random.IntN(3)
				parts[at] = append(parts[at], members[i])
			}
		}
		join := func(parts ...string) string { return "{" + strings.Join(parts, ",\n") + "}" }
		ends := slices.Concat(parts[0], parts[2])
		body := join(slices.Concat(parts[0], []string{`"messages":` + big(wholly)}, parts[1], []string{`"tools":` + big(3000)}, parts[2])...)
		whole, _ := unshared().Extract(readWhole(body))
		want := whole
		ids := extract.Chain{extract.ClaudeUserID(), extract.BodyIDs()}
		for _, part := range append([]string{join(ends...)}, wrapped(parts[1], join)...) {
			if s, ok := ids.Extract(&extract.Request{Body: []byte(part)}); ok && s.Confidence == extract.Explicit {
				want = s
				break
			}
		}
		if want.ID != whole.ID {
			differ++
		}
		for _, r := range []*extract.Request{{Body: []byte(body)}, readWhole(body), {Body: []byte(body), Path: "/v1/messages"}} {
			got, _ := extract.Default().Extract(r)
			require.Equal(t, want, got, "%.300s ... %s", body, body[len(body)-300:])
		}
		for _, filler := range []int{10, 7000} {
			small := join(slices.Concat(parts[0], []string{`"messages":` + big(filler)}, parts[1], []string{`"tools":` + big(filler)}, parts[2])...)
			want, _ = unshared().Extract(&extract.Request{Body: []byte(small)})
			got, _ := extract.Default().Extract(&extract.Request{Body: []byte(small)})
			require.Equal(t, want, got, small)
		}
	}
	require.Greater(t, differ, 50)

	// Nobody has asked ClaudeCode for anything but Claude Code's.
	claudeBetween := `{"messages":` + big(wholly) + `,"metadata":` + claude + `,"tools":` + big(3000) + `,"session_id":"s"}`
	requireSession(t, extract.ClaudeCode(), &extract.Request{Body: []byte(claudeBetween), Path: "/v1/messages"}, "claude-code", uuid)
}

// What one goroutine reads of a large body makes no difference to what others find.
func TestOneLargeBodyForManyGoroutines(t *testing.T) {
	t.Parallel()
	join := func(parts ...string) string { return "{" + strings.Join(parts, ",") + "}" }
	talk, tools := `"messages":`+big(wholly), `"tools":`+big(3000)
	for _, parts := range [][]string{
		{talk, `"session_id":"s"`, tools, `"conversation_id":"c"`, tools[:3] + "2" + tools[3:]},
		{talk, `"metadata":{"user_id":"u","session_id":""}`, tools, `"conversation":{"id":"c"}`, tools[:3] + "2" + tools[3:]},
		{talk, tools, `"prompt_cache_key":"k"`}, {talk, tools},
		// These are so large that whoever comes first may read the messages in passing.
		{talk, `"pad":` + big(inPassing)}, {talk, `"pad":` + big(inPassing), `"conversation_id":"c"`, tools}, {talk, `"pad":` + big(inPassing), `"user":"u"`},
	} {
		body := []byte(join(parts...))
		want, ok := extract.Default().Extract(&extract.Request{Body: body})
		require.True(t, ok)
		r, chain := &extract.Request{Body: body}, extract.Default()
		got := make([]extract.Session, 32)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				switch i % 4 {
				case 0:
					r.Pins()
				case 1:
					extract.BodyIDs().Extract(r)
				case 2:
					r.Class()
				}
				chain.Find(r, &got[i])
				r.Complete(&got[i])
			})
		}
		wg.Wait()
		for _, g := range got {
			require.Equal(t, want, g)
		}
		// Two are enough, if one of them goes on where the other has stopped.
		alone := &extract.Request{Body: body}
		trail, found := extract.Trail().Extract(alone)
		for i := range 32 {
			r := &extract.Request{Body: body}
			wg.Go(func() {
				if i%2 == 0 {
					assert.Equal(t, alone.Boundaries(), r.Boundaries())
				} else {
					s, ok := extract.Trail().Extract(r)
					assert.True(t, reflect.DeepEqual(s, trail) && ok == found)
				}
			})
			wg.Go(func() { extract.Body("session_id").Extract(r) }) // is the first, mostly
			wg.Wait()
		}
	}
}

// wrapped returns an object for each member.
func wrapped(members []string, join func(...string) string) (objects []string) {
	for _, m := range members {
		objects = append(objects, join(m))
	}
	return objects
}

// Of several members of one name the last one counts that has been read.
func TestNamesThatAreNotUniqueInLargeBodies(t *testing.T) {
	t.Parallel()
	middle := `"messages":` + big(wholly)
	for _, test := range []struct{ name, body, id string }{
		{"both in front", `{"chat":"a","chat":"b",` + middle + `}`, "b"},
		{"both behind", `{` + middle + `,"chat":"a","chat":"b"}`, "b"},
		{"one in front and one behind", `{"chat":"a",` + middle + `,"chat":"b"}`, "b"},
		{"one behind and one in the middle", `{` + middle + `,"chat":"a","tools":` + big(2000) + `,"chat":"b"}`, "b"},
		{"one in the middle", `{` + middle + `,"chat":"a","tools":` + big(2000) + `}`, "a"},
		{"one in front and one in the middle", `{"chat":"a",` + middle + `,"chat":"b","tools":` + big(2000) + `}`, "a"},
	} {
		requireSession(t, extract.Body("chat"), &extract.Request{Body: []byte(test.body)}, "body:chat", test.id)
		asID := strings.ReplaceAll(test.body, `"chat"`, `"conversation_id"`)
		requireSession(t, extract.Default(), &extract.Request{Body: []byte(asID)}, "conversation_id", test.id)
	}
	// The last of them counts with all that it has and has not.
	requireSession(t, extract.Default(), &extract.Request{
		Body: []byte(`{"metadata":{"session_id":"s"},"metadata":{"conversation_id":"c"},` + middle + `,"tools":[]}`),
	}, "metadata.conversation_id", "c")
	requireSession(t, extract.Default(), &extract.Request{
		Body: []byte(`{"metadata":{"session_id":"s"},` + middle + `,"metadata":{"conversation_id":"c"}}`),
	}, "metadata.conversation_id", "c")
}

// A large body that is broken names nothing if that shows where it was read.
func TestBrokenLargeBodies(t *testing.T) {
	t.Parallel()
	const id = `"conversation_id":"c"`
	middle := `"messages":` + big(wholly)
	for _, body := range []string{
		`{` + id + `,` + middle, `{` + middle + `,` + id, `{` + middle + `,` + id + `}}`, `{` + middle + `,` + id + `,}`, `{` + middle + `,` + id + `} x`, `{` + middle + ` ` + id + `}`,
		`[{` + middle + `,` + id + `}]`, `{` + id + `,` + middle + `}]`, `{` + id + ` ` + middle + `}`, `{,` + id + `,` + middle + `}`, `{` + id + `,` + middle + `,"n":01}`, `{` + id + `,` + middle + `,"n":tru}`,
		`{` + id + `,"a":1 "b":2,` + middle + `}`, `{` + id + `,"a":1;` + middle + `}`,
		`{` + middle + `,"conversation_id":"c}`, `{` + middle + `,conversation_id":"c"}`, `{"messages":` + big(wholly)[1:] + `,` + middle + `,` + id + `,"a":[}`,
	} {
		for _, e := range []extract.Extractor{extract.BodyIDs(), extract.Default(), extract.Body("conversation_id")} {
			s, ok := e.Extract(&extract.Request{Body: []byte(body)})
			require.False(t, ok, "%q from %.60s ... %s", s.ID, body, body[len(body)-40:])
		}
	}
	unclosed := `{` + middle[:len(middle)-1] + `,` + id + `}`
	requireSession(t, extract.Default(), &extract.Request{Body: []byte(unclosed)}, "conversation_id", "c")
	_, ok := extract.Default().Extract(readWhole(unclosed))
	require.False(t, ok, "where it does not show until the rest is read")
}

// Default looks at both ends, and into what it asks for.
func TestLargeBodiesThatAreBrokenAtTheOtherEnd(t *testing.T) {
	t.Parallel()
	const id = `"conversation_id":"c"`
	middle := `"messages":` + big(wholly)
	for _, body := range []string{
		`{"a":1 "b":2,` + middle + `,` + id + `}`, "{\"a\":1\x00," + middle + `,` + id + `}`, `{"a":01,` + middle + `,` + id + `}`,
		`{"metadata":{"session_id":"s" "a":1},` + middle + `}`,
		`{` + id + `,` + middle + `,"a":1 "b":2}`, `{` + id + `,` + middle + `,"a":01}`, `{` + id + `,` + middle + `,"a"}`,
	} {
		_, ok := extract.Default().Extract(&extract.Request{Body: []byte(body)})
		require.False(t, ok, "%.40s ... %s", body, body[len(body)-40:])
	}
}

// Wherever the first kilobyte ends, in a value or behind it, that is no mistake: what is
// beyond it is not read.
func TestWhereTheHeadEnds(t *testing.T) {
	t.Parallel()
	for n := 900; n < 1100; n++ {
		body := `{"conversation_id":"c","a":"` + strings.Repeat("x", n) + `" ,"messages":[}` + big(wholly) + `],"b":1}`
		for _, e := range []extract.Extractor{extract.Default(), extract.BodyIDs()} {
			requireSession(t, e, &extract.Request{Body: []byte(body)}, "conversation_id", "c")
		}
	}
}

// What is asked for first is believed where it is met on the way through a large
// body, which is not read on until something else is asked for.
func TestIDsInTheMiddleOfLargeBodies(t *testing.T) {
	t.Parallel()
	middle := `"messages":` + big(wholly)
	claude := `"metadata":{"user_id":` + quote(`{"session_id":"`+uuid+`"}`) + `}`
	for _, test := range []struct {
		name  string
		e     extract.Extractor
		id    string // what names the session
		asked string
	}{
		{"an id of the table", extract.BodyIDs(), "conv-1", `"conversation_id":"conv-1"`},
		{"with escapes", extract.BodyIDs(), "conv-1", `"convers\u0061tion_id" :\n"conv-1" `},
		{"Claude Code", extract.ClaudeUserID(), uuid, claude},
		{"a path", extract.Body("chat"), "c", `"chat":"c"`},
		{"a path into it", extract.Body("chat.id"), "c", `"chat":{"id":"c"}`},
		{"a path that needs gjson", extract.Body("chat.#"), "", `"chat":["c"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			asked := strings.ReplaceAll(strings.ReplaceAll(test.asked, `\\`, `\`), `\n`, "\n")
			front := `{` + middle + `,` + asked
			good := front + `,"tools":` + big(wholly) + `,"session_id":"s"}`
			for _, body := range []string{good, front + `,"tools":[` + strings.Repeat("}", 5000) + `],"session_id":"s"}`} {
				r := &extract.Request{Body: []byte(body)}
				for range 2 { // the second time it is known
					s, ok := test.e.Extract(r)
					require.Equal(t, test.id != "", ok)
					require.Equal(t, test.id, s.ID)
				}
				// Now the rest counts.
				want := ""
				if body == good {
					want = "s"
				}
				s, _ := extract.Body("session_id").Extract(r)
				require.Equal(t, "s", s.ID, "at the end")
				s, _ = extract.Body("none", "session_id").Extract(r)
				require.Equal(t, want, s.ID)
				s, ok := test.e.Extract(r)
				require.Equal(t, test.id != "" && body == good, ok)
				require.Equal(t, ok, s.ID != "")
			}
			// A mistake that is met on the way, or at the end, is one.
			for _, body := range []string{
				`{"tools":[}],` + good[1:], `{` + middle + asked + `,"tools":` + big(wholly) + `}`, front + ` "tools":` + big(wholly) + `}`,
				good + `]`, good[:len(good)-1], strings.Replace(good, `"s"}`, `s}`, 1), `[` + good + `]`, `x` + good, `,` + good[1:],
			} {
				_, ok := test.e.Extract(&extract.Request{Body: []byte(body)})
				require.False(t, ok, "%.40s ... %s", body, body[len(body)-40:])
			}
		})
	}
}

// FuzzEnds: a large body gives the answer that it would give without its middle,
// or the one that reading it whole gives; and the latter if it is well-formed and
// its members have names of their own.
func FuzzEnds(f *testing.F) {
	f.Add(`{"conversation_id":"a",`, `"messages":[1]`, `,"stream":true}`)
	f.Add(`{`, `"messages":[1]`, `,"metadata":{"user_id":"user_ab_account__session_`+uuid+`"}}`)
	f.Add(`{"chat":"\u0061"`, `,"x":{}`, "} \n")
	f.Add(`{"chat":1,`, `"a":"`, `","chat":"b"}`)
	f.Add(`{"a":"`, `",`, `"chat":"b"}`)
	f.Add(`{"a":1,`, `"ch\u0061t":"b"`, `,"session_id":"s"}`)
	f.Add(`{"a":1,`, `"metadata":{"user_id":"user_ab_account__session_`+uuid+`"}`, `}`)
	f.Add(`{`, `"conversation_id":"a"`, `,"messages":["a"]}`)
	f.Fuzz(func(t *testing.T, head, middle, tail string) {
		if len(head)+len(tail) > 800 || len(middle) > 1000 {
			t.Skip("too long")
		}
		pad := `"pad":"` + strings.Repeat("x", wholly) + `"`
		for _, body := range []string{head + middle + `,` + pad + tail, head + pad + `,` + middle + tail, head + pad + tail, head + pad + `,` + middle + `,` + pad[:3] + "2" + pad[3:] + tail} {
			_, unambiguousNames := reencode([]byte(body))
			for name, e := range idExtractors() {
				want, ok := e.Extract(readWhole(body))
				got, ok2 := e.Extract(&extract.Request{Body: []byte(body)})
				requireValid(t, got, ok2)
				if unambiguousNames {
					require.Equal(t, want, got, "%s: %s", name, fmt.Sprint(head, middle, tail))
					require.Equal(t, ok, ok2)
				}
				if ok2 && got.Source != want.Source {
					require.NotEqual(t, "trail", got.Source)
				}
			}
			got, ok := extract.Default().Extract(&extract.Request{Body: []byte(body)})
			requireValid(t, got, ok)
			if want, _ := unshared().Extract(readWhole(body)); unambiguousNames && got.ID != want.ID {
				require.Equal(t, extract.Explicit, got.Confidence, "%s instead of %s", got.Source, want.Source)
				again, _ := extract.Default().Extract(readWhole(body))
				require.Equal(t, got, again)
			}
		}
	})
}

// Nothing is allocated beyond what a session keeps: its id.
func TestAllocationsOfIDs(t *testing.T) {
	middle := `"messages":` + big(2<<20)
	legacy := `"metadata":{"user_id":"user_` + device + `_account__session_` + uuid + `"}`
	text := `"metadata":{"user_id":` + quote(`{"device_id":"`+device+`","account_uuid":"`+uuid+`","session_id":"`+uuid+`"}`) + `}`
	for name, body := range map[string]string{
		"legacy, behind": "{" + middle + "," + legacy + "}", "legacy, in front": "{" + legacy + "," + middle + "}", "JSON, behind": "{" + middle + "," + text + `,"stream":true}`,
		"escapes in names": "{" + middle + `,"met\u0061data":{"us\u0065r_id":"user_` + device + `_account__session_` + uuid + `"}}`,
	} {
		data := []byte(body)
		requireSession(t, extract.ClaudeUserID(), &extract.Request{Body: data}, "claude-code", uuid)
		for _, e := range []extract.Extractor{extract.ClaudeUserID(), extract.Default()} {
			r := &extract.Request{Body: data}
			require.LessOrEqual(t, testing.AllocsPerRun(20, func() { e.Extract(r) }), 1.0, name)
		}
	}
	// A request of its own each time, since what was read of one is kept.
	id := `"conversation_id":"` + uuid + `"`
	for _, size := range []int{1 << 10, 8 << 10, 64 << 10, 2 << 20} {
		for place, body := range map[string]string{
			"head": `{` + id + `,"messages":` + big(size) + `}`, "tail": `{"messages":` + big(size) + `,` + id + `}`,
			"middle":              `{"model":"m","messages":` + big(size/2) + `,` + id + `,"tools":` + big(size/2) + `,"stream":true}`,
			"behind placeholders": `{"a":"undefined","conversation":"undefined","session_id":"unknown","metadata":{"user_id":"null"},` + id + `,"messages":` + big(size) + `}`,
		} {
			r, data := new(extract.Request), []byte(body)
			for name, e := range map[string]extract.Extractor{
				"ids": extract.BodyIDs(), "path": extract.Body("conversation_id"), "paths": extract.Body("a", "conversation_id"), "default": extract.Default(),
			} {
				for _, path := range []string{"", "/v1/messages"} { // of Anthropic, where Claude Code's id may be
					require.LessOrEqual(t, testing.AllocsPerRun(5, func() {
						*r = extract.Request{Body: data, Path: path}
						if s, ok := e.Extract(r); !ok || s.ID != uuid {
							panic("no session")
						}
					}), 1.0, "%s, %s of %d to %q", name, place, size, path)
				}
			}
		}
	}

	// The trail costs a few small things, however large the body is.
	chain, r := extract.Default(), new(extract.Request)
	answer := `{"messages":[{"role":"assistant","content":[` + strings.Repeat(`{"type":"text","text":"x"},`, 1000) + compaction("1") + `]},` + u("hi") + `]}`
	headings := chat(u(strings.Repeat("# a\nb:\n", 1000) + "User: Where is Oslo?"))
	for _, body := range [][]byte{agentBody(32<<10, ``), agentBody(2<<20, ``), []byte(answer), []byte(headings)} {
		require.LessOrEqual(t, testing.AllocsPerRun(5, func() {
			*r = extract.Request{Body: body}
			chain.Extract(r)
		}), 5.0, "%d", len(body))
	}
}

// However many ids are none, the one that is an id is found.
func TestIDsThatAreNoneInBetween(t *testing.T) {
	t.Parallel()
	filler := `"a":"` + strings.Repeat("x", wholly) + `"`
	for _, n := range []int{0, 1, 63, 64, 1000} {
		for _, none := range []string{`"sessionId":"",`, `"sessionId":null,`, `"conversation_id":"none",`, `"metadata":{"user_id":7},`} {
			body := `{` + filler + `,` + strings.Repeat(none, n) + `"sessionId":"s-1",` + filler + `}`
			r := &extract.Request{Body: []byte(body)}
			s, ok := extract.Default().Extract(r)
			require.True(t, ok, "%d of %s", n, none)
			require.Equal(t, "s-1", s.ID, "%d of %s", n, none)
		}
	}
}

// Nor do they cost more than a few of the longest do: each that is looked at is written anew.
func TestLongIDsThatAreNone(t *testing.T) {
	none := strings.Repeat(`"conversation_id":"`+strings.Repeat(`\u0061`, 2600)+`",`, 60)
	body := []byte(`{"a":"` + strings.Repeat("x", 2<<10) + `",` + none + `"conversation_id":"c-1","b":"` + strings.Repeat("x", 2<<10) + `"}`)
	require.Less(t, allocated(func() {
		s, ok := extract.Default().Extract(&extract.Request{Body: body})
		require.True(t, ok)
		require.Equal(t, "c-1", s.ID)
	}), uint64(128<<10))
}

// Blanks in front of a body are none of it, however many.
func TestBlanksBeforeALargeBody(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 1023, 1024, 3000} {
		body := strings.Repeat(" ", n) + `{"messages":` + big(wholly) + `,"session_id":"s"}`
		requireSession(t, extract.Default(), &extract.Request{Body: []byte(body)}, "session_id", "s")
		requireSession(t, extract.Default(), &extract.Request{Body: []byte("x" + body)}, "", "")
	}
}

// A large body that is no object names no session, whatever stands at its ends.
func TestLargeBodiesThatAreNoObjects(t *testing.T) {
	t.Parallel()
	filler := `"a":"` + strings.Repeat("x", wholly) + `"`
	for _, before := range []string{"\ufeff", "garbage", `"`, "[", "0", "}", " x", "\x00", strings.Repeat(" ", 2000) + "x"} {
		for _, members := range []string{`"session_id":"s-1",` + filler, filler + `,"session_id":"s-1"`, filler + `,"conversation_id":"s-1"`} {
			for _, e := range []extract.Extractor{extract.Default(), extract.BodyIDs(), extract.Body("session_id")} {
				r := &extract.Request{Body: []byte(before + `{` + members + `}`)}
				_, ok := e.Extract(r)
				require.False(t, ok, "%.100s", r.Body)
			}
		}
	}
}
