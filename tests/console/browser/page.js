// What a person finds on the page, by the words that the page shows. Called with an operation, the names of the parts
// within which to look, outermost first, and arguments; gives a value, or {"wrong": why not}.

const [operation, scopes, ...words] = arguments;

const normal = (text) => (text || '').replace(/\s+/g, ' ').trim();

const isVisible = (element) =>
  element.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }) && element.getClientRects().length > 0;

// The text of an element without that of the controls in it.
const bare = (element) => {
  const copy = element.cloneNode(true);
  copy.querySelectorAll('select, textarea, input, button').forEach((control) => control.remove());
  return normal(copy.textContent);
};

const referred = (element) =>
  (element.getAttribute('aria-labelledby') || '').split(/\s+/).filter(Boolean)
    .map((id) => document.getElementById(id)).filter(Boolean).map((other) => normal(other.textContent)).join(' ');

const labelled = (element) => normal(element.getAttribute('aria-label')) || referred(element);

const PARTS = 'section, article, fieldset, form, dialog, details, nav, aside, header, footer, main, table, figure, ol, ul, li, '
  + '[role=region], [role=group]';

const partNames = (part) => {
  if (part.tagName === 'TR') {
    const inside = [...part.querySelectorAll('td, th, td a, th a, td code, th code')];
    return inside.map((cell) => normal(cell.innerText));
  }
  const first = (selector) => {
    const found = part.querySelector(selector);
    return found && found.closest(PARTS) === part ? normal(found.textContent) : '';
  };
  return [labelled(part), first('legend'), first('caption'), first('summary'), first('figcaption'),
    first('h1, h2, h3, h4, h5, h6')].filter(Boolean);
};

const wrong = (why) => { throw { wrong: why }; };

const list = (names) => (names.length ? names.map((name) => JSON.stringify(name)).join(', ') : 'none');

// The part of this name within another: the whole name, or else how that of a part but a row begins. Of parts that hold
// each other, the innermost.
const within = (root, name) => {
  const all = [...root.querySelectorAll(PARTS + ', tr')].filter(isVisible);
  let found = all.filter((part) => partNames(part).includes(name));
  if (!found.length) {
    found = all.filter((part) => part.tagName !== 'TR' && partNames(part).some((each) => each.startsWith(name + ' ')));
  }
  found = found.filter((part) => !found.some((other) => other !== part && part.contains(other)));
  if (found.length === 1) return found[0];
  const names = all.flatMap((part) => (part.tagName === 'TR' ? [] : partNames(part)));
  return wrong(found.length
    ? `${found.length} parts are called ${JSON.stringify(name)}`
    : `no part is called ${JSON.stringify(name)}; there are: ${list(names)}`);
};

const CLICKABLE = 'a[href], button, summary, input[type=submit], input[type=button], input[type=reset], [role=button]';

const clickName = (element) =>
  labelled(element) || normal(element.tagName === 'INPUT' ? element.value : element.innerText);

const CONTROLS = 'input:not([type=hidden], [type=submit], [type=button], [type=reset], [type=image]), select, textarea';

const controlNames = (control) =>
  [labelled(control), ...[...(control.labels || [])].map(bare)].filter(Boolean);

// The one of this name: the whole name, or else how it begins.
const one = (kind, name, all, names) => {
  const visible = all.filter(isVisible);
  let found = visible.filter((element) => names(element).includes(name));
  if (!found.length) found = visible.filter((element) => names(element).some((each) => each.startsWith(name)));
  const goals = new Set(found.map((element) => element.href));
  if (found.length === 1 || (found.length > 1 && goals.size === 1 && !goals.has(undefined))) {
    // At once: a page that scrolls smoothly is still moving when the click comes.
    found[0].scrollIntoView({ block: 'center', behavior: 'instant' });
    return found[0];
  }
  const hidden = all.filter((element) => !isVisible(element) && names(element).includes(name)).length;
  return wrong(found.length
    ? `${found.length} ${kind}s are called ${JSON.stringify(name)}`
    : `no ${kind} is called ${JSON.stringify(name)}${hidden ? ', but for one that is not shown' : ''}; there are: `
      + list(visible.flatMap(names)));
};

const tableOf = (root, name) => {
  if (name) {
    const part = within(root, name);
    root = part.tagName === 'TABLE' ? part.parentElement : part;
    if (part.tagName === 'TABLE') return part;
  }
  const tables = [...root.querySelectorAll('table')].filter(isVisible);
  return tables.length === 1 ? tables[0] : wrong(`there are ${tables.length} tables`);
};

const operations = {
  clickable: (root, name) =>
    one('link or button', name, [...root.querySelectorAll(CLICKABLE)], (element) => [clickName(element)]),
  // Whether a click on it leads to another page, be it the same anew.
  leads: (root, name) => {
    const element = operations.clickable(root, name);
    const form = element.form;
    if (form && element.type === 'submit') return form.noValidate || element.formNoValidate || form.checkValidity();
    const href = element.getAttribute('href');
    return Boolean(href) && !href.startsWith('#') && !element.hasAttribute('download');
  },
  // When the page began to be, once it is whole: no two have that in common.
  born: () => (document.readyState === 'complete' ? performance.timeOrigin : 0),
  clickables: (root) => [...root.querySelectorAll(CLICKABLE)].filter(isVisible).map(clickName),
  control: (root, name) => one('field', name, [...root.querySelectorAll(CONTROLS)], controlNames),
  controls: (root) => [...root.querySelectorAll(CONTROLS)].filter(isVisible).map((each) => controlNames(each)[0] || ''),
  // What a person cannot type in the same way everywhere, such as a day.
  set: (root, name, value) => {
    const control = operations.control(root, name);
    control.value = value;
    return control.value;
  },
  type: (root, name) => operations.control(root, name).type,
  value: (root, name) => operations.control(root, name).value,
  isTicked: (root, name) => operations.control(root, name).checked,
  option: (root, name, option) => {
    const groups = [...root.querySelectorAll('fieldset, [role=radiogroup]')].filter(isVisible);
    const group = groups.find((part) => partNames(part).includes(name));
    if (group) return operations.control(group, option);
    const select = operations.control(root, name);
    const found = [...(select.options || [])].filter((each) => normal(each.text) === option);
    return found.length === 1 ? found[0]
      : wrong(`${JSON.stringify(name)} has no choice ${JSON.stringify(option)}; there are: `
        + list([...(select.options || [])].map((each) => normal(each.text))));
  },
  text: (root) => root.innerText ?? root.body.innerText,
  table: (root, name) => {
    const rows = [...tableOf(root, name).rows].filter(isVisible);
    const texts = (row) => [...row.cells].map((cell) => normal(cell.innerText));
    const isHead = (row) => row.parentElement.tagName === 'THEAD';
    return { head: rows.filter(isHead).flatMap(texts), rows: rows.filter((row) => !isHead(row)).map(texts) };
  },
  fact: (root, name) => {
    const terms = [...root.querySelectorAll('dt, th[scope=row]')].filter(isVisible);
    const term = terms.find((each) => normal(each.innerText) === name);
    if (!term) return wrong(`there is no ${JSON.stringify(name)}; there are: ${list(terms.map((each) => normal(each.innerText)))}`);
    return normal(term.nextElementSibling && term.nextElementSibling.innerText);
  },
  focused: () => {
    const element = document.activeElement;
    if (!element || element === document.body) return '';
    return element.matches(CONTROLS) ? controlNames(element)[0] || '' : clickName(element);
  },
  status: () => performance.getEntriesByType('navigation')[0].responseStatus,
  // Whatever the page itself asked another host for.
  strangers: () => performance.getEntriesByType('resource').map((entry) => entry.name)
    .filter((name) => new URL(name, location).origin !== location.origin && !name.startsWith('data:')),
  // How many pixels wider it is than the window.
  overflow: (root, width) => document.documentElement.scrollWidth - (width || document.documentElement.clientWidth),
  matches: (root, query) => matchMedia(query).matches,
};

try {
  return operations[operation](scopes.reduce(within, document), ...words);
} catch (error) {
  if (error && error.wrong) return { wrong: error.wrong };
  throw error;
}
