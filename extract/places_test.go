package extract_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// When the system prompt changes, a turn is known by the directories that it
// names.
func TestPlaces(t *testing.T) {
	t.Parallel()
	trunk := func(system, message string) string { return chat(sys(system), message) }
	turn2 := func(system, message string) string { return chat(sys(system), message, a("x"), u("on")) }
	for _, test := range []struct {
		name, text string
		place      bool
	}{
		{"a directory", "/home/anna/proj", true},
		{"behind a colon", "cwd: /home/anna/proj", true},
		{"behind a colon without a space", "cwd:/home/anna/proj", true},
		{"in an element", "<cwd>/home/anna/proj</cwd>", true},
		{"in backquotes", "`/home/anna/proj`", true},
		{"in quotes", `"/home/anna/proj"`, true},
		{"in single quotes", "'/home/anna/proj'", true},
		{"in parentheses", "(/home/anna/proj)", true},
		{"in brackets", "[/home/anna/proj]", true},
		{"behind an equals sign", "PWD=/home/anna/proj", true},
		{"on a line of its own", "Directory:\n/home/anna/proj\n", true},
		{"behind a tab", "cwd\t/home/anna/proj", true},
		{"in a table", "|/home/anna/proj|", true},
		{"behind a carriage return", "cwd\r/home/anna/proj", true},
		{"in braces", "{/home/anna/proj}", true},
		{"behind a comma", "a,/home/anna/proj", true},
		{"with a slash at the end", "/home/anna/proj/", true},
		{"with other letters", "/home/josé/日本", true},
		{"with odd characters", "/home/anna/a.b-c_d~e@f+g", true},
		{"of two parts", "/srv/app", true},
		{"far behind", "and/or 1/2 https://x.org/a/b </b> /help " + "/srv/app", true},

		{"none", "nowhere", false},
		{"behind an n", "in/home/anna/proj", false},
		{"a command", "/help", false},
		{"a root", "/", false},
		{"slashes", "//////", false},
		{"a URL", "https://example.com/docs/help", false},
		{"a URL without a scheme", "//example.com/docs/help", false},
		{"alternatives", "and/or/but", false},
		{"a date", "2026/11/23", false},
		{"the end of an element", "</a></b/c>", false},
		{"a relative path", "src/main/go", false},
		{"a home directory", "~/src/main", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := near
			if test.place {
				want = continues
			}
			require.Equal(t, want, relation(trailOf(t, turn2("Tuesday. "+test.text, u("hi"))), trailOf(t, trunk("Monday. "+test.text, u("hi")))), "in the system prompt")
			require.Equal(t, want, relation(
				trailOf(t, turn2("Tuesday.", u(reminder("Tuesday. "+test.text)+"hi"))),
				trailOf(t, trunk("Monday.", u(reminder("Monday. "+test.text)+"hi")))), "in a reminder")
			if test.place {
				require.Equal(t, want, relation(trailOf(t, turn2("Tuesday. "+test.text, u("hi"))), trailOf(t, claude(quote("Monday. "+test.text), u("hi")))), "beside the messages")
				require.Equal(t, near, relation(
					trailOf(t, turn2("Tuesday. "+test.text, u("hi"))), trailOf(t, trunk("Monday. "+test.text+" /srv/other", u("hi")))), "another place")
			}
		})
	}
}

// Sixteen paths count, and texts with more slashes than anybody writes are not read on.
func TestPlacesThatCount(t *testing.T) {
	t.Parallel()
	paths := func(n int, rest string) string { return strings.Repeat("/srv/app ", n) + rest }
	for _, test := range []struct{ first, later, want string }{
		{paths(16, "/srv/a"), paths(16, "/srv/b"), continues},
		{paths(15, "/srv/a"), paths(15, "/srv/b"), near},
		{"/srv/app " + strings.Repeat("a/", 1<<14) + " /srv/a", "/srv/app " + strings.Repeat("a/", 1<<14) + " /srv/b", continues},
	} {
		later := trailOf(t, chat(sys("Tuesday "+test.later), u("hi"), a("x"), u("on")))
		require.Equal(t, test.want, relation(later, trailOf(t, chat(sys("Monday "+test.first), u("hi")))), "%.50s", test.first)
	}
	slashes := sys(strings.Repeat("a/", 1<<13))
	for _, texts := range [][]string{{slashes}, {slashes, slashes}} {
		later := trailOf(t, chat(slices.Concat([]string{sys("Tuesday /srv/app")}, texts, []string{sys("/srv/a"), u("hi"), a("x"), u("on")})...))
		first := trailOf(t, chat(slices.Concat([]string{sys("Monday /srv/app")}, texts, []string{sys("/srv/b"), u("hi")})...))
		require.Equal(t, []string{near, continues}[len(texts)-1], relation(later, first), len(texts))
	}
}

// A path goes on over these, and ends before those.
func TestPathsGoOn(t *testing.T) {
	t.Parallel()
	for want, letters := range map[string]string{near: "aAzZ09/.-_~@+é", continues: " \n\t\"\\'`,;:)(<>|[]{}="} {
		for _, c := range letters {
			place := "/srv/app" + string(c)
			later := trailOf(t, chat(sys("Tuesday "+place+"x"), u("hi"), a("x"), u("on")))
			require.Equal(t, want, relation(later, trailOf(t, chat(sys("Monday "+place+"y"), u("hi")))), "%q", c)
		}
	}
}

// A place is all that is named, beside the messages and at their start.
func TestPlacesOfTwoSystemPrompts(t *testing.T) {
	t.Parallel()
	body := func(beside, inside string, messages ...string) string {
		return claude(quote(beside), append([]string{sys(inside)}, messages...)...)
	}
	first := trailOf(t, body("Monday /srv/a", "/srv/b", u("hi")))
	for _, test := range []struct{ beside, inside, want string }{
		{"Tuesday /srv/a", "/srv/b", continues},
		{"Tuesday /srv/a", "/srv/c", near},
		{"Tuesday /srv/c", "/srv/b", near},
		{"Tuesday /srv/a", "none", near},
		{"Tuesday", "/srv/b", near},
	} {
		later := trailOf(t, body(test.beside, test.inside, u("hi"), a("x"), u("on")))
		require.Equal(t, test.want, relation(later, first), "%s, %s", test.beside, test.inside)
	}
}
