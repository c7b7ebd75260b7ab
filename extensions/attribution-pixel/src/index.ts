import { register } from '@shopify/web-pixels-extension';

import { pixel } from './pixel';

register(pixel);
