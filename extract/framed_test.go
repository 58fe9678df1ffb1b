package extract_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What applications write around the question at hand.
var frames = map[string]func(question string) string{
	"the time in front": func(q string) string { return "Current time: 9:05\n\n" + q },
	"paragraphs behind": func(q string) string { return q + "\n\n" + oslo + "\n\nBe brief." },
	"the time behind":   func(q string) string { return q + "\n\n(It is 9:05 now.)" },
	"tools in front, as of LangChain": func(q string) string {
		return "TOOLS\n------\n" + oslo + "\n\nUSER'S INPUT\n--------------------\nHere is the input:\n\n" + q
	},
	"documents behind":                       func(q string) string { return q + "\n\nAnswer using the following information:\n" + oslo },
	"a label in front, and documents behind": func(q string) string { return "Question: " + q + "\nContext: " + oslo },
	"documents in front, and a cue": func(q string) string {
		return "Answer from this.\n\n" + oslo + "\n\nQuestion: " + q + "\nHelpful Answer:"
	},
	"nothing but a label and a cue":  func(q string) string { return "Q: " + q + "\nA:" },
	"a label on a line of its own":   func(q string) string { return "已知信息：\n" + oslo + "\n用户问题：\n" + q },
	"a label in Chinese, and quotes": func(q string) string { return oslo + "\n\n问题：\"\"\"" + q + "\"\"\"" },
	"another label, behind an answer to somebody else": func(q string) string {
		return "Use the context.\n\n" + oslo + "\nQuestion: How do I reset it?\nAnswer: Press the button.\n\nQuery: " + q
	},
	"a label in the midst, on a line of its own": func(q string) string {
		return "Use the context.\n\n#Question:\n\n" + q + "\n\n#Context:\n" + oslo + "\n\n#Answer:"
	},
	"a label in the midst, near the end":  func(q string) string { return "Kontext:\n" + oslo + "\n\nFrage: " + q + "\n\nAntworte kurz." },
	"results in front, and a wish behind": func(q string) string { return oslo + "\n\nCite them.\nQuery: " + q + "\nBe brief." },
	"a heading": func(q string) string {
		return "# Context\n" + oslo + "\n\n## Question\n\n" + q + "\n\n## Instructions\nBe brief."
	},
	"a heading of some words": func(q string) string {
		return "# Context\n" + oslo + "\n\n## The question ##\n\n" + q + "\n\n## Instructions\nBe brief."
	},
	"a heading in bold letters, in front": func(q string) string {
		return "Answer the question.\n\n**User question**\n" + q + "\n\n**Context**\n" + oslo + "\n\nBe brief."
	},
	"a label between headings of another kind": func(q string) string {
		return "# User guide\nPress it.\n\nQuestion: " + q + "\n\n# User guide\nPress it twice.\n\nBe brief."
	},
	"a label behind another heading, in front": func(q string) string {
		return "## User\nAnna, in Norway\n\nQuestion: " + q + "\n\n" + oslo + "\n\nBe brief."
	},
	"a label in front of other headings, near the end": func(q string) string {
		return "Context:\n" + oslo + "\n\nQuestion: " + q + "\n\n## User\nAnna, in Norway\n\n## Frequent questions\nHow?\n\nBe brief."
	},
	"a heading behind a label": func(q string) string {
		return "Context:\n" + oslo + "\n\nUser: It fails.\n\n## Question\n" + q + "\n\n## Instructions\nBe brief."
	},
	"a heading between others": func(q string) string {
		return "# Context\n" + oslo + "\n\n## Frequent questions\nHow?\n\n## Question\n" + q + "\n\n## User:\nAnna\n\nBe brief."
	},
	"two labels":              func(q string) string { return oslo + "\n\nUser:\nQuestion: " + q + "\nBe brief." },
	"a label in bold letters": func(q string) string { return oslo + "\n\n**Question:** " + q + "\nBe brief." },
	"a label in brackets":     func(q string) string { return "Context:\n" + oslo + "\n\n[Question: " + q + "]\n[Time: 9:05]" },
	"a label in braces":       func(q string) string { return "Context:\n" + oslo + "\n\n{Question: " + q + "}\nBe brief." },
	"brackets in Japanese": func(q string) string {
		return "【参考】\n" + oslo + "\n\n【質問】\n" + q + "\n\n【条件】\nBe brief."
	},
	"the last of some lines":                  func(q string) string { return "Context: " + oslo + "\n" + q },
	"another label on the last of some lines": func(q string) string { return oslo + "\nSpørsmål：" + q },
	"another label, and quotes":               func(q string) string { return oslo + "\nSpørsmål: \"" + q + "\"" },
	"a label behind a number":                 func(q string) string { return oslo + "\n[1] Question: " + q + "\n[2] Be brief." },
	"an element in Chinese":                   func(q string) string { return "<已知信息>" + oslo + "</已知信息>\n<问题>" + q + "</问题>" },
	"a label in Korean, in front":             func(q string) string { return "질문: " + q + "\n\n참고:\n" + oslo + "\n\n답하세요." },
	"an element":                              func(q string) string { return "<found>\n" + oslo + "\n</found>\n<question>\n" + q + "\n</question>" },
}

// A question that is framed while it is the last, and stands alone in the next turn, leads to a
// place to start at. (A text that stays framed leads to the turn itself.)
func TestFramedQuestions(t *testing.T) {
	t.Parallel()
	for name, frame := range frames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := chat(sys("s"), u(frame("Where is \"Oslo\"?")))
			second := chat(sys("s"), u("Where is \"Oslo\"?"), a("x"), u(frame("Since when?")))
			third := chat(sys("s"), u("Where is \"Oslo\"?"), a("x"), u("Since when?"), a("y"), u(frame("Why?")))
			require.Equal(t, near, relation(trailOf(t, second), trailOf(t, first)))
			require.Equal(t, near, relation(trailOf(t, third), trailOf(t, second)))
			require.Equal(t, apart, relation(trailOf(t, third), trailOf(t, chat(sys("s"), u("Where is Rome?"), a("x"), u(frame("Since when?"))))))
			require.Equal(t, apart, relation(trailOf(t, chat(u("Since when?"), a("x"), u("Why?"))), trailOf(t, second)))

			require.Equal(t, apart, relation(trailOf(t, second), trailOf(t, chat(sys("another"), u(frame("Where is \"Oslo\"?"))))))

			stays := chat(sys("s"), u(frame("Where is \"Oslo\"?")), a("x"), u(frame("Since when?")))
			require.Equal(t, continues, relation(trailOf(t, stays), trailOf(t, first)))
		})
	}
}

// Windows ends lines in another way, and its paths have backslashes.
func TestFramedQuestionsOnWindows(t *testing.T) {
	t.Parallel()
	for name, frame := range frames {
		const asked, next = `Where is C:\new\notes in "Oslo"?`, "Since when?"
		first := trailOf(t, chat(sys("s"), u(frame(asked))))
		second := trailOf(t, chat(sys("s"), u(asked), a("x"), u(frame(next))))
		require.Equal(t, near, relation(second, first), name)

		crlf := func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }
		first = trailOf(t, chat(sys("s"), u(crlf(frame("Where is Oslo?")))))
		second = trailOf(t, chat(sys("s"), u("Where is Oslo?"), a("x"), u(crlf(frame(next)))))
		require.Equal(t, near, relation(second, first), name)
	}
}

// Quotes around a question are those of the frame, if they are at both ends.
func TestFramedQuestionsWithQuotes(t *testing.T) {
	t.Parallel()
	for _, asked := range []string{`What is a "fjord"`, `"Fjord" is what?`, "Is it 'Oslo'", "What is {x}"} {
		for name, frame := range frames {
			if strings.Contains(name, "quotes") {
				continue
			}
			first := trailOf(t, chat(sys("s"), u(frame(asked))))
			second := trailOf(t, chat(sys("s"), u(asked), a("x"), u(frame("Since when?"))))
			require.Equal(t, near, relation(second, first), "%s: %s", name, asked)
		}
	}
}

// What stands before the quotes that end it is the question's own.
func TestFramedQuestionsInQuotes(t *testing.T) {
	t.Parallel()
	for _, asked := range []string{"What is a[0]", "What is {x}", "Where is Oslo*", `Where is "Oslo"`, `"Oslo" is what?`} {
		for _, quotes := range []string{`"`, `'`, `"""`} {
			for _, behind := range []string{"", "}", "\nBe brief.", "\n\nBe brief."} {
				frame := func(q string) string { return oslo + "\n\nQuestion: " + quotes + q + quotes + behind }
				first := trailOf(t, chat(sys("s"), u(frame(asked))))
				second := trailOf(t, chat(sys("s"), u(asked), a("x"), u(frame("Since when?"))))
				require.Equal(t, near, relation(second, first), frame(asked))
			}
		}
	}
}

// A comma behind the last line may be that of a list.
func TestFramedQuestionsInAList(t *testing.T) {
	t.Parallel()
	for _, end := range []string{",", "},"} {
		first := trailOf(t, chat(sys("s"), u(oslo+"\n- Question: Where is Oslo?"+end)))
		second := trailOf(t, chat(sys("s"), u("Where is Oslo?"), a("x"), u(oslo+"\n- Question: Since when?"+end)))
		require.Equal(t, near, relation(second, first), end)
	}
}

// A colon in a question may look like the end of a label.
func TestFramedQuestionsWithColons(t *testing.T) {
	t.Parallel()
	for _, asked := range []string{"What is this: a noun?", "At 9:05, is it open?", "用一句话解释：云？"} {
		for _, front := range []string{"", "Question: ", "问题：", "Spørsmål: ", "Spørsmål："} {
			first := trailOf(t, chat(sys("s"), u(oslo+"\n"+front+asked)))
			second := trailOf(t, chat(sys("s"), u(asked), a("x"), u(oslo+"\n"+front+"Since when?")))
			require.Equal(t, near, relation(second, first), front+asked)
		}
	}
}

// Some leave only the documents out of the next turn, and not the label.
func TestFramedQuestionsKeepTheirLabels(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"", "Question: ", "User request:\n"} {
		asked := label + "Where is Oslo?"
		second := chat(sys("s"), u(asked), a("x"), u(label+"Since when?\n\nContext: "+oslo))
		require.Equal(t, near, relation(trailOf(t, second), trailOf(t, chat(sys("s"), u(asked+"\n\nContext: "+oslo)))), label)
	}
}

// What the client makes of the beginning stands in front of what is left of the conversation.
func TestFramedQuestionsBehindASummary(t *testing.T) {
	t.Parallel()
	const frame = "It is 9:05.\n\n"
	earlier := trailOf(t, chat(sys("s"), u("Where is Oslo?"), a("x"), u("Is it raining there?"), a("y"), u(frame+"And in Bergen, in the west?")))
	asked := []string{u("Is it raining there?"), a("y"), u("And in Bergen, in the west?"), a("z"), u(frame + "Since when?")}
	later := trailOf(t, chat(append([]string{sys("s"), u("Summary: they speak of Oslo.")}, asked...)...))
	require.Equal(t, near, relation(later, earlier))
	stranger := trailOf(t, chat(append([]string{sys("t"), u("Summary: they speak of Oslo.")}, asked...)...))
	require.Equal(t, apart, relation(stranger, earlier))
}

// Pictures in front of the text and behind it stay where they are.
func TestFramedQuestionsWithPictures(t *testing.T) {
	t.Parallel()
	picture := func(n int) string { return pictureAt(fmt.Sprint(n)) }
	pictures := func(n int) (all []string) {
		for i := range n {
			all = append(all, picture(i))
		}
		return all
	}
	asks := func(text string, pictures []string) string { return ub(append([]string{text_(text)}, pictures...)...) }
	const asked, frame = "Where was this taken?", "It is 9:05.\n\n"
	for n := range 4 {
		later := trailOf(t, chat(sys("s"), asks(asked, pictures(n)), a("x"), u(frame+"Since when?")))
		require.Equal(t, near, relation(later, trailOf(t, chat(sys("s"), asks(frame+asked, pictures(n))))), n)
		third := trailOf(t, chat(sys("s"), u("Where is Oslo?"), a("x"), asks(asked, pictures(n)), a("y"), u(frame+"Since when?")))
		require.Equal(t, near, relation(third, trailOf(t, chat(sys("s"), u("Where is Oslo?"), a("x"), asks(frame+asked, pictures(n))))), n)
		for name, others := range map[string][]string{"another": append(pictures(n), picture(7)), "many": pictures(4)} {
			require.Equal(t, apart, relation(later, trailOf(t, chat(sys("s"), asks(frame+asked, others)))), name)
		}
	}
	const short = "And here?" // which says enough with its pictures only
	later := trailOf(t, chat(sys("s"), u("Summary: they speak of Oslo."), u("Where is Oslo?"), a("x"), asks(short, pictures(2)), a("y"), u("on")))
	require.Equal(t, near, relation(later, trailOf(t, chat(sys("s"), u("Where is Oslo?"), a("x"), asks(frame+short, pictures(2))))))

	around := func(text string) string { return ub(picture(1), text_(text), picture(2)) }
	require.Equal(t, near, relation(trailOf(t, chat(sys("s"), around(asked), a("x"), u("Since when?"))), trailOf(t, chat(sys("s"), around(frame+asked)))))
	front := func(text string) string { return ub(picture(1), text_(text)) }
	require.Equal(t, near, relation(trailOf(t, chat(sys("s"), front(asked), a("x"), u("Since when?"))), trailOf(t, chat(sys("s"), front(frame+asked)))))
	require.Equal(t, apart, relation(trailOf(t, chat(sys("s"), front(asked), a("x"), u("Since when?"))), trailOf(t, chat(sys("s"), asks(frame+asked, pictures(2)[1:])))))

	later = trailOf(t, chat(sys("s"), u(frame+asked), a("x"), ub(picture(1)), a("y"), u("on")))
	require.Equal(t, apart, relation(later, trailOf(t, chat(sys("s"), u(asked), a("x"), ub(picture(1))))), "no text since the answer")
	keys := func(pictures ...string) int {
		return len(trailOf(t, chat(sys("s"), ub(append(pictures, text_(frame+asked))...), a("x"), ub(picture(3)))).Aliases)
	}
	require.Equal(t, keys(picture(1)), keys(picture(1), picture(2)), "where the text stood that was answered")
	later = trailOf(t, chat(sys("s"), ub(picture(1)), a("x"), ub(text_(asked), picture(2)), a("y"), u("on")))
	require.Equal(t, apart, relation(later, trailOf(t, chat(sys("s"), ub(picture(1)), a("x"), sys(frame+asked), ub(picture(2))))), "the system's words")
	later = trailOf(t, chat(sys("s"), ub(text_("Look."), text_(asked), picture(1)), a("x"), u("on")))
	require.Equal(t, apart, relation(later, trailOf(t, chat(sys("s"), ub(text_("Look."), text_(frame+asked), picture(1))))), "two texts")
}

// What a person or a question is called in other languages is a label as well.
func TestFramesInOtherLanguages(t *testing.T) {
	t.Parallel()
	later := trailOf(t, chat(u("Where is Oslo?"), a("x"), u("Since when?")))
	for name := range strings.FieldsSeq("USER Human customer question Query Nutzer Benutzer Kunde Frage utilisateur usuario usuário pregunta pergunta " +
		"用户 用戶 客户 客戶 问题 問題 提问 ユーザー 質問 사용자 고객 질문 Пользователь клиент Вопрос") {
		require.Equal(t, near, relation(later, trailOf(t, chat(u("It is 9:05.\n"+name+": Where is Oslo?\nBe brief.")))), name)
	}
}

// A line may have a single letter.
func TestFramedLetters(t *testing.T) {
	t.Parallel()
	letter := trailOf(t, chat(u("7"), a("x"), u("Why?")))
	require.Equal(t, near, relation(letter, trailOf(t, chat(u("How old are you?\n7")))))
	first := trailOf(t, chat(u("Where is Oslo?"), a("x"), u("Why?")))
	require.Equal(t, apart, relation(first, trailOf(t, chat(u("Where is Oslo?\n-\nBe brief.")))))
}

// Whoever has said the words as they are comes first.
func TestFramedQuestionsComeLast(t *testing.T) {
	t.Parallel()
	near := trailOf(t, chat(sys("s"), u("Where is Oslo?"), a("x"), u("Since when?"))).Near
	found := func(body string) int {
		s := trailOf(t, body)
		return slices.IndexFunc(near, func(id string) bool { return slices.Contains(append(s.Aliases, s.ID), id) })
	}
	plain, framed := found(chat(sys("t"), u("Where is Oslo?"))), found(chat(sys("s"), u("It is 9:05.\n\nWhere is Oslo?")))
	require.GreaterOrEqual(t, plain, 0)
	require.Greater(t, framed, plain)
}

// A text has no question in it if it is one line, was answered, or goes on behind what is looked at.
func TestNothingFramed(t *testing.T) {
	t.Parallel()
	later := trailOf(t, chat(u("Where is Oslo?"), a("x"), u("Since when?")))
	for name, earlier := range map[string]string{
		"one line":       chat(u("Question: Where is Oslo?")),
		"answered":       chat(u("It is 9:05.\n\nWhere is Oslo?"), a("x")),
		"in the midst":   chat(u("It is 9:05.\n\nWhere is Oslo?\n\nBe brief.")),
		"a picture":      chat(ub(text_("It is 9:05.\n\nWhere is Oslo?"), `{"type":"image","source":"x"}`)),
		"a tool spoke":   chat(u("It is 9:05.\n\nWhere is Oslo?"), a("x"), `{"role":"tool","content":"x"}`),
		"browser-use":    chat(u("It is 9:05.\n\nWhere is Oslo?"), u(browserUse("buy milk", "page", "a"))),
		"a role":         chat(u("It is 9:05.\nThe role: user: Where is Oslo?\nBe brief.")),
		"a role, late":   chat(u("It is 9:05.\n- What they say in any such role: user: Where is Oslo?\nBe brief.")),
		"no label":       chat(u("It is 9:05.\nQuestion that I have had for years: Where is Oslo?\nBe brief.")),
		"a long label":   chat(u("It is 9:05.\nThis is what they have been asking: Where is Oslo?")),
		"no heading":     chat(u("# It is 9:05.\n(A question\nWhere is Oslo?\nBe brief.")),
		"a long heading": chat(u("## A heading that is longer than most, and a question\nWhere is Oslo?\nBe brief.")),
		"a long line":    chat(u(strings.Repeat("Where is Oslo? ", 100) + "\nand so on")),
	} {
		require.Equal(t, apart, relation(later, trailOf(t, earlier)), name)
	}
}

// Where only the last few messages are sent as well, a framed question leads to the turn
// before by these alone.
func TestFramedQuestionsInAWindow(t *testing.T) {
	t.Parallel()
	const asked, next = "Where is Oslo in Norway?", "And who was king there in 1905?"
	for name, frame := range frames {
		third := chat(sys("s"), u("hi"), a("x"), u(asked), a("y"), u(frame(next)))
		fourth := chat(sys("s"), u(asked), a("y"), u(next), a("z"), u(frame("Why?")))
		require.Equal(t, near, relation(trailOf(t, fourth), trailOf(t, third)), name)
		require.Equal(t, apart, relation(trailOf(t, fourth), trailOf(t, chat(sys("s"), u("hi"), a("x"), u("Where is Rome?"), a("y"), u(frame(next))))), name)
		short := chat(sys("s"), u("hi"), a("x"), u("Oslo?"), a("y"), u(frame("Why?")))
		require.Equal(t, apart, relation(trailOf(t, chat(sys("s"), u("Oslo?"), a("y"), u("Why?"), a("z"), u("When?"))), trailOf(t, short)), name)
	}
}
