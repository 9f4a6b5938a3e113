//! The page's building blocks: figures, and sections with headings that links can point to.

use crate::markup::{escape, scroll};

/// The page's sections and the table of contents that links to them.
#[derive(Default)]
pub(crate) struct Body {
    html: String,
    titles: Vec<String>,
}

impl Body {
    /// Adds a section with a table or text and a note below it.
    pub(crate) fn section(&mut self, title: &str, content: &str, note: &str) {
        self.open(title);
        self.html.push_str(&format!("{content}<p class=\"note\">{}</p>\n</section>\n", escape(note)));
    }

    /// Adds a section with a figure and its caption.
    pub(crate) fn figure(&mut self, title: &str, svg: &str, caption: &str) {
        self.open(title);
        let figure = figure(title, svg, caption);
        self.html.push_str(&format!("{figure}</section>\n"));
    }

    fn open(&mut self, title: &str) {
        self.titles.push(title.to_owned());
        self.html.push_str(&format!("<section>\n<h2 id=\"{}\">{}</h2>\n", anchor(title), escape(title)));
    }

    /// Returns the table of contents and the sections.
    pub(crate) fn finish(self) -> String {
        let link = |title: &String| format!("<li><a href=\"#{}\">{}</a></li>\n", anchor(title), escape(title));
        let links: String = self.titles.iter().map(link).collect();
        format!("<nav aria-label=\"contents\"><ul>\n{links}</ul></nav>\n{}", self.html)
    }
}

/// Returns the anchor name of a heading.
fn anchor(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

/// Returns a drawing with its caption. The drawing scrolls if the page is too narrow to show it at a readable size.
pub(crate) fn figure(title: &str, svg: &str, caption: &str) -> String {
    format!(
        "<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n",
        scroll(&format!("figure: {title}"), svg),
        escape(caption)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_linked() {
        let mut body = Body::default();
        body.section("Change from clean, and <b>", "<p>text</p>\n", "a < b");
        let html = body.finish();
        assert!(html.contains("<a href=\"#change-from-clean-and-b\">Change from clean, and &lt;b&gt;</a>"), "{html}");
        assert!(html.contains("<h2 id=\"change-from-clean-and-b\">") && html.contains("a &lt; b"));
    }
}
