package extract_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// What applications ask in other languages than English, as a system prompt and as all that a
// person wrote, with the conversation behind it.
func TestWishesInOtherLanguages(t *testing.T) {
	t.Parallel()
	type classes struct{ system, person extract.Class }
	title, summary, none := classes{extract.Auxiliary, extract.Auxiliary}, classes{extract.Compaction, extract.Turn}, classes{}
	for prompt, want := range map[string]classes{
		"请根据以下对话内容，生成一个简洁的会话标题（约15字以内），只返回标题":                               title, // xiaozhi
		"你是一位资深信息架构师，请根据下面的「用户目标」，生成一个用于会话列表展示的对话标题":                        title, // Bisheng
		"以下の会話に短いタイトルを付けてください。15文字以内で、タイトルのみを出力してください。":                     title,
		"다음 대화 내용을 바탕으로 짧은 대화 제목을 생성하세요.":                                   title,
		"Придумай короткое название для этого диалога (3-5 слов).":          title,
		"Erstelle einen kurzen Titel für diese Unterhaltung.":               title,
		"Du bist ein KI-Assistent, der Konversationstitel erstellt – kurz.": title, // AlmaLex
		"Génère un titre court pour cette conversation.":                    title,
		"Genera un título corto para esta conversación.":                    title,
		"Você é um gerador de títulos de conversa. Crie um título conciso.": title, // Hay
		"请将以下对话历史压缩为简洁的摘要，保留关键信息":                                           summary,
		"以下の会話履歴を要約してください。":                                                 summary,
		"다음 대화 내용을 핵심만 간결하게 요약해 주세요.":                                       summary,
		"Кратко суммируй следующий диалог, сохранив важные факты.":          summary,
		"Fasse die bisherige Unterhaltung für später kurz zusammen.":        summary,

		"总结给出的会话，将其总结为10字内标题":          title,
		"你是一个对话摘要助手。请总结以下对话,保留关键上下文":   summary, // RAGFlow
		"你是一个对话记录助手。请将对话内容归纳为当天的日常记录。": summary, // CowAgent

		// Something else has a title, is summarized or goes on, and a quote is not ASCII in English.
		"请帮我生成一个产品介绍，要有标题、用户对话示例，简短一点":                                                                none,
		"你是一个营销文案助手，请和用户对话，生成吸引人的商品标题，不超过30个字。":                                                       none,
		"你是一个客服，请将用户的问题归纳为以下类别，并继续对话。":                                                                none,
		"あなたは小説家です。会話のみで話を進め、タイトルを作成します。":                                                             none,
		"당신은 블로그 도우미입니다. 사용자와 대화하며 제목과 본문을 작성하세요. 짧은 문장으로 답하세요.":                                      none,
		"Ты копирайтер. Придумай заголовки для объявлений. Веди диалог и пиши только по-русски.":      none,
		"Du bist Texter. Erstelle Titel für Produkte. Führe ein Gespräch und frage nur das Nötigste.": none,
		"Du hilfst. Fasse dich kurz. Dieses Gespräch wird für Übungen aufgezeichnet.":                 none,
		"Eres un redactor. Genera un título corto. La conversación es en español.":                    none,
		"Tu es un assistant. Résume les documents donnés au fil de la conversation.":                  none,
		"You are a career coach. You’ll help people with their resume in a friendly conversation.":    none,
		"If the caller puts you on hold, resume the conversation where you left off — go on.":         none,
		"你是小红书写手，根据以下对话为文章生成简短的标题":                                                                    none,
		"你是客服。每次聊天后总结以下对话，再回复。":                                                                       none,
		"以下是之前对话的摘要：用户想买自行车。":                                                                         none,
		"これまでの会話の要約：ユーザーは自転車が欲しい。":                                                                    none,
		"Bisherige Unterhaltung, gekürzt: ein Fahrrad für Anna.":                                      none,
		"Du bist ein hilfreicher Assistent für Gespräche.":                                            none,
		"Ты полезный ассистент, веди диалог.":                                                         none,
	} {
		talk := prompt + "\nUser: x\nAI: y"
		require.Equal(t, want.system, classOf(chat(sys(prompt), u(talk[len(prompt)+1:]))), prompt)
		require.Equal(t, want.person, classOf(chat(u(talk))), prompt)
		require.Equal(t, extract.Turn, classOf(chat(u(prompt))), "in one line: %s", prompt)
		require.Equal(t, extract.Turn, classOf(chat(u("x"), a("y"), u(talk))), "in mid-conversation: %s", prompt)
		require.Equal(t, extract.Turn, classOf(chat(sys(prompt), u("x"), a("y"), u("z"))), prompt)
		require.Equal(t, extract.Turn, classOf(withTools(chat(sys(prompt), u("x")))), prompt)
	}
}

// A question that can be understood without the conversation is asked for behind that.
func TestStandaloneQuestionsInOtherLanguages(t *testing.T) {
	t.Parallel()
	for prompt, want := range map[string]extract.Class{
		"你是一个问题改写助手。请结合历史对话，将用户的最新问题改写为一个独立、完整的问题，不要回答问题。":                                              extract.Auxiliary,
		"チャット履歴がなくても理解できる独立した質問に書き換えてください。":                                                             extract.Auxiliary,
		"대화 기록 없이도 이해할 수 있는 독립적인 질문으로 다시 작성하세요.":                                                        extract.Auxiliary,
		"По истории диалога сформулируй самостоятельный вопрос.":                                        extract.Auxiliary,
		"Formuliere anhand des Gesprächsverlaufs die letzte Frage in eine eigenständige Frage um.":      extract.Auxiliary,
		"请结合历史对话，将问题改写为独立的问题，然后回答它。":                                                                    extract.Turn,
		"你是一名历史老师，鼓励学生独立思考，可以改写课文。参考对话历史。":                                                              extract.Turn,
		"Ты помощник по истории. Помогай самостоятельно думать, формулируй диалог кратко.":              extract.Turn,
		"Du hilfst Studenten, eigenständig zu schreiben, und formulierst Sätze im Gespräch für sie um.": extract.Turn,
		"请改写这段对话，让两个角色更独立。":                                                                             extract.Turn,
		"다음 대화를 독립적인 글로 다시 작성해줘.":                                                                       extract.Turn,
		"Formuliere um: Ich arbeite eigenständig, führe Gespräche und habe den Verlauf notiert.":        extract.Turn,
	} {
		require.Equal(t, want, classOf(chat(u("x"), a("y"), u(prompt))), prompt)
		require.Equal(t, want, classOf(chat(sys(prompt), u("x"), a("y"), u("z"))), prompt)
	}
}

// Each of the words is enough, beside one of every other kind, and none of these without it.
func TestForeignWordsOneByOne(t *testing.T) {
	t.Parallel()
	first := func(prompt string) extract.Class { return classOf(chat(sys(prompt), u("x"))) }
	last := func(prompt string) extract.Class { return classOf(chat(u("x"), a("y"), u(prompt))) }
	for _, tt := range []struct {
		classOf  func(prompt string) extract.Class
		rest     string
		words    string // apart by commas
		with, no extract.Class
	}{
		{first, "Titel erstellen – ", "会话标题,对话标题,聊天标题,以下对话,以下会话,以下聊天,下面的对话,上面的对话,这段对话,给出的会话,给定的对话,将对话内容," +
			"会話のタイトル,以下の会話,この会話,대화 제목,다음 대화,이 대화,этого диалога,следующий диалог," +
			"Konversationstitel,diese Unterhaltung,dieses Gespräch,bisherige Unterhaltung,cette conversation,esta conversación,títulos de conversas", extract.Auxiliary, extract.Turn},
		{first, "以下对话 生成 ", "标题,標題,タイトル,제목,название,заголовок,Titel,titre,título", extract.Auxiliary, extract.Turn},
		{first, "以下对话 标题 ", "生成,总结,命名,作成,付けて,생성,작성,сгенерируй,придумай,создай,Erstelle,Génère,Genera,gere um,crea,crie um", extract.Auxiliary, extract.Turn},
		{first, "以下对话 标题 生成 ", "文章,工单,视频,帖子,邮件,会议,会議,然后,再回答,后回答,并回答,每次,必要时,答えて,и ответь,und beantworte", extract.Turn, extract.Auxiliary},
		{first, "这段对话 ", "总结以下,总结下面,总结上述,总结为,总结成,概括以下,概括为,归纳以下,归纳为,压缩为,压缩成," +
			"要約してください,要約を作成,요약해,요약하,суммируй,резюмируй,fasse die,fassen Sie die,résume cette,resume esta,resuma esta", extract.Compaction, extract.Turn},
		{last, "改写 对话 ", "独立的问题,独立、完整的问题,独立完整的问题,独立した質問,독립적인 질문,самостоятельный вопрос,eigenständige Frage", extract.Auxiliary, extract.Turn},
		{last, "独立的问题 对话 ", "改写,重写,書き換え,다시 작성,сформулируй,formuliere", extract.Auxiliary, extract.Turn},
		{last, "独立的问题 改写 ", "对话,聊天,会話,チャット,대화,Диалог,Gespräch,Unterhaltung,Chatverlauf", extract.Auxiliary, extract.Turn},
	} {
		require.Equal(t, tt.no, tt.classOf(tt.rest), tt.rest)
		for word := range strings.SplitSeq(tt.words, ",") {
			require.Equal(t, tt.with, tt.classOf(tt.rest+word), tt.rest+word)
		}
	}
}
